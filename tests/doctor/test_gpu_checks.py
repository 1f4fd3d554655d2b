"""The doctor on GPUs, from facts: each kind of fault is named, with what mends it."""

from typing import Any

import pytest

from bench.doctor.gpu_checks import cuda_checks, gpu_check, use_checks
from bench.doctor.machine_checks import Check
from bench.measure.gpu import Gpu
from bench.measure.gpu_occupancy import Occupancy
from tests.support.sample_nodes import card, node

SEEN = "GPUs in TensorFlow"


def _reply(**changed: Any) -> dict[str, Any]:
    return {
        "error": None,
        "cuda_build": True,
        "cuda_failures": {},
        "driver_library": True,
        "ptxas": "12.9.86",
        "gpus": [],
        **changed,
    }


def _check_of(checks: list[Check], name: str) -> Check:
    (match,) = [check for check in checks if check.name == name]
    return match


def _seen(facts: dict[str, Any], **reply: Any) -> Check:
    return _check_of(cuda_checks(_reply(**reply), facts), SEEN)


MEMORY_BYTES = 80 * 10**9


def _use(*pids: int, held_bytes: int = 0) -> Occupancy:
    return Occupancy(pids, held_bytes, MEMORY_BYTES)


IDLE = _use()


def _used(*uses: Occupancy) -> dict[Gpu, Occupancy]:
    cards = (
        Gpu(i, "H100", f"GPU-{i}", f"0000:0{i}:00.0", MEMORY_BYTES, "9.0", mig=False)
        for i in range(len(uses))
    )
    return dict(zip(cards, uses, strict=True))


def test_a_working_node_passes_all_checks() -> None:
    facts = node(*(card(i) for i in range(8)))
    checks = [
        gpu_check(facts, ()),
        *use_checks(_used(*[IDLE] * 8)),
        *cuda_checks(_reply(gpus=[{}] * 8), facts),
    ]
    assert {check.state for check in checks} == {"ok"}
    assert checks[0].finding == "0-7 H100 (driver 570.86.15, CUDA up to 12.8)"


def test_a_node_without_gpus_has_nothing_to_check_in_cuda() -> None:
    assert gpu_check(node(), ()).state == "ok"
    assert use_checks({}) == []
    assert cuda_checks(_reply(), node()) == []


def test_a_card_on_the_bus_without_a_driver_is_a_fault() -> None:
    check = gpu_check(node(), ["0000:3b:00.0"])
    assert (check.state, check.finding) == (
        "broken",
        "1 on the PCI bus (0000:3b:00.0), but no driver",
    )
    assert check.remedy and check.remedy.startswith("install NVIDIA's driver")


def test_cards_that_the_driver_does_not_list_are_a_fault() -> None:
    check = gpu_check(node(driver={"version": "570.86.15", "cuda": "12.8"}), ["0000:3b:00.0"])
    assert check.state == "broken"
    assert check.remedy and "/dev/nvidia*" in check.remedy


def test_a_broken_driver_has_a_remedy_of_its_own() -> None:
    error = "the NVIDIA driver: its library differs (NVML error 18): reboot"
    check = gpu_check(node(gpu_error=error), [])
    assert check == Check(
        "GPUs", "broken", "the NVIDIA driver: its library differs (NVML error 18)", "reboot"
    )


def test_an_old_driver_is_named_with_an_update_as_the_remedy() -> None:
    check = gpu_check(node(card(0), cuda="12.4"), [])
    assert check.state == "broken"
    assert check.remedy and "CUDA 12.5" in check.remedy
    assert _seen(node(card(0), cuda="12.4")).remedy == check.remedy


def test_a_run_leaves_out_the_cards_that_others_use() -> None:
    (check,) = use_checks(_used(IDLE, _use(4242, 7), IDLE))
    assert check.state == "ok"
    assert "GPU 1" in check.finding and "4242, 7" in check.finding


def test_it_is_a_fault_if_no_card_is_free() -> None:
    (check,) = use_checks(_used(_use(4242), _use(4343)))
    assert check.state == "broken"
    assert "GPU 0" in check.finding and "GPU 1" in check.finding


@pytest.mark.parametrize("held_bytes", [900_000_000, MEMORY_BYTES // 2])
def test_memory_without_a_visible_process_is_reported_and_is_not_a_fault(held_bytes: int) -> None:
    (check,) = use_checks(_used(_use(held_bytes=held_bytes)))
    assert check.state == "ok"
    assert f"{held_bytes / 1e9:.1f} GB" in check.finding


def test_a_library_that_does_not_load_is_named_with_the_loader_s_message() -> None:
    loader_error = "libnvJitLink.so.12: cannot open shared object file: No such file or directory"
    reply = _reply(cuda_failures={"libcusolver.so.11": loader_error})
    checks = cuda_checks(reply, node(card(0)))
    check = _check_of(checks, "CUDA libraries")
    assert check.state == "broken"
    assert "libcusolver.so.11" in check.finding and loader_error in check.finding
    assert check.remedy == _check_of(checks, SEEN).remedy
    assert check.remedy and "trainbench[gpu]" in check.remedy


def test_a_container_without_the_driver_s_cuda_gets_a_remedy() -> None:
    check = _seen(node(card(0)), driver_library=False)
    assert (check.state, check.finding) == ("broken", "0 of 1")
    assert check.remedy and "NVIDIA_DRIVER_CAPABILITIES" in check.remedy


def test_a_build_without_cuda_is_reported() -> None:
    checks = cuda_checks(_reply(cuda_build=False), node(card(0)))
    assert [check.name for check in checks] == [SEEN]
    assert "built without CUDA" in checks[0].finding
    assert checks[0].remedy and "trainbench[gpu]" in checks[0].remedy


@pytest.mark.parametrize(
    ("visible", "seen", "state"),
    [
        (None, 2, "ok"),
        (None, 1, "broken"),
        ("1", 1, "ok"),
        ("-1", 0, "missing"),
        ("", 0, "missing"),
        ("NoDevFiles", 0, "missing"),
        ("0,-1,1", 1, "ok"),
        ("1,7,0", 1, "ok"),
    ],
)
def test_the_expected_number_of_cards_depends_on_visible_devices(
    visible: str | None, seen: int, state: str
) -> None:
    variables = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    facts = node(card(0), card(1), variables=variables)
    assert _seen(facts, gpus=[{}] * seen).state == state


def test_only_one_instance_of_split_cards_is_expected() -> None:
    assert _seen(node(card(0, mig=True), card(1, mig=True)), gpus=[{}]).state == "ok"


@pytest.mark.parametrize(
    ("ptxas", "cuda", "broken"),
    [
        ("13.0.88", "12.9", True),
        ("12.9.86", "12.4", False),
        (None, "12.9", False),
        ("13.0", None, False),
    ],
)
def test_an_assembler_of_a_cuda_that_the_driver_cannot_run_is_a_fault(
    ptxas: str | None, cuda: str | None, broken: bool
) -> None:
    checks = cuda_checks(_reply(gpus=[{}], ptxas=ptxas), node(card(0), cuda=cuda))
    assert ("ptxas" in {check.name for check in checks if check.state == "broken"}) == broken
