"""Which cards and drivers a run is refused on, by name and with what to do."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from bench.errors import ResourceError
from bench.execution.gpus.gpu_support import (
    Answer,
    check_gpus,
    compiles_at_first_use,
    first_unsupported,
    library_fault,
    unsupported_reason,
    visible_cards,
)
from tests.support.sample_nodes import card, node

MISSING = "cannot open shared object file: No such file or directory"


@pytest.mark.parametrize(
    ("capability", "cuda", "served"),
    [
        ("5.2", "12.9", False),
        ("6.0", "12.0", True),
        ("8.9", "12.0", True),
        ("8.0", "11.8", False),
        ("9.0", "12.5", True),
        ("9.0", "12.4", False),
        ("9.0", "13.0", True),
        ("10.0", "12.8", True),
        ("10.0", "12.4", False),
        ("12.0", "13.0", False),
        (None, "12.0", True),
        ("9.0", None, True),
    ],
)
def test_support_depends_on_the_card_s_capability_and_the_driver_s_cuda(
    capability: str | None, cuda: str | None, served: bool
) -> None:
    fault = unsupported_reason(card(3, capability), {"version": "550.54.14", "cuda": cuda})
    assert (fault is None) == served
    if fault:
        assert "GPU 3 (H100" in fault.problem


def test_the_remedy_is_to_update_an_old_driver_or_to_hide_a_new_card() -> None:
    old = unsupported_reason(card(0), {"version": "550.54.14", "cuda": "12.4"})
    assert old is not None
    assert "550.54.14" in old.problem
    assert "CUDA 12.5" in old.remedy
    new = unsupported_reason(card(0, "12.0"), {"version": "580.1", "cuda": "13.0"})
    assert new is not None
    assert "CUDA_VISIBLE_DEVICES" in new.remedy


def test_the_support_of_another_tensorflow_is_unknown() -> None:
    assert first_unsupported(node(card(0, "12.0"), packages={"tensorflow": "2.22.0"})) is None


@pytest.mark.parametrize(
    ("listed", "indices"),
    [
        (None, [0, 1]),
        ("1", [1]),
        ("GPU-0", [0]),
        ("MIG-1", [1]),
        ("GPU-0,1", [0, 1]),
        ("1,0", [1, 0]),
        ("GPU-", []),
        ("NoDevFiles", []),
        ("1,7,0", [1]),
        ("", []),
        ("-1", []),
        ("1,-1,0", [1]),
    ],
)
def test_only_visible_cards_count(listed: str | None, indices: list[int]) -> None:
    variables = {} if listed is None else {"CUDA_VISIBLE_DEVICES": listed}
    facts = node(card(0, "12.0"), card(1, mig=True), variables=variables)
    assert [c["index"] for c in visible_cards(facts)] == indices
    assert (first_unsupported(facts) is not None) == (0 in indices)


def test_libraries_with_the_same_loader_error_are_reported_together() -> None:
    names = ("libcublas.so.12", "libcudnn.so.9")
    fault = library_fault({name: f"{name}: {MISSING}" for name in names}, [])
    assert fault is not None
    assert f"libcublas.so.12, libcudnn.so.9: {MISSING}" in fault.problem
    assert "EXTRAS=dev,gpu" in fault.remedy
    assert library_fault({}, []) is None


def test_the_remedy_for_a_library_in_the_user_s_folder_names_the_folder() -> None:
    said = "/opt/cuda/lib64/libcublas.so.12: undefined symbol: x"
    fault = library_fault({"libcublas.so.12": said}, ["/usr/lib", "/opt/cuda/lib64"])
    assert fault is not None
    assert fault.remedy == "remove /opt/cuda/lib64 from LD_LIBRARY_PATH"


def test_a_run_is_refused_for_the_first_node_that_cannot_train() -> None:
    def ask(question: Callable[[None], Answer], nothing: None) -> Iterable[Answer]:
        assert question(nothing) is not None
        return [("a", None), ("b", "no driver: install one")]

    with pytest.raises(ResourceError, match="node b: no driver") as caught:
        check_gpus(ask)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(("capability", "compiles"), [("8.9", False), ("9.0", True), (None, False)])
def test_cards_with_machine_code_need_no_compilation(capability: Any, compiles: bool) -> None:
    assert compiles_at_first_use(card(0, capability)) == compiles
