"""A process is bound near its GPUs, or to its share of cores, by the real kernel."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.errors import ResourceError
from bench.measure.cpu_binding import bound_to_cores, choose_cores

Ask = Callable[..., Any]

CARD_0 = "GPU-0000aaaa-0000-0000-0000-000000000000"
CARD_1 = "GPU-1000aaaa-0000-0000-0000-000000000000"
INSTANCE = "MIG-1001bbbb-0000-0000-0000-000000000000"
ALLOWED = sorted(os.sched_getaffinity(0))
LAST = ALLOWED[-1]

needs_two_cores = pytest.mark.skipif(len(ALLOWED) < 2, reason="one core")


def near(*uuids: str, least_cores: int = 1) -> str:
    """Return an expression for the binding of a process and the cores of all its threads."""
    return (
        "(lambda os, threading: (threading.Thread(target=(e := threading.Event()).wait, "
        "daemon=True).start(), "
        f"bind_near({list(uuids)!r}, {least_cores}), "
        "sorted({c for t in os.listdir('/proc/self/task') for c in os.sched_getaffinity(int(t))}))"
        "[1:])(__import__('os'), __import__('threading'))"
    )


@needs_two_cores
def test_all_threads_are_bound_to_the_cores_near_a_gpu(ask: Ask) -> None:
    answer = f"nvmlDeviceGetCpuAffinity={1 << LAST}"
    bound, cores = ask(near(CARD_0), answer=answer)
    assert bound == {"cores": [LAST], "numa_node": 0}
    assert cores == [LAST]


@needs_two_cores
def test_an_instance_is_near_the_cores_of_its_card(ask: Ask) -> None:
    answer = f"nvmlDeviceGetCpuAffinity={1 << LAST}"
    bound, _ = ask(near(INSTANCE), answer=answer, cards=2, mig=1)
    assert bound["cores"] == [LAST]


@needs_two_cores
def test_several_gpus_have_the_cores_of_all_of_them(ask: Ask) -> None:
    first, last = 1 << ALLOWED[0], 1 << LAST
    answer = f"nvmlDeviceGetCpuAffinity@0={first},nvmlDeviceGetCpuAffinity@1={last}"
    bound, _ = ask(near(CARD_0, CARD_1), answer=answer, cards=2)
    assert bound["cores"] == [ALLOWED[0], LAST]


@pytest.mark.parametrize(
    ("gpus", "least_cores", "fake"),
    [
        ([], 1, {}),
        ([CARD_0], len(ALLOWED) + 1, {}),
        ([CARD_0], 1, {"answer": "nvmlDeviceGetCpuAffinity=0"}),
        ([CARD_0], 1, {"fail": "nvmlDeviceGetCpuAffinity=3"}),
        ([CARD_0], 1, {"fail": "nvmlDeviceGetCpuAffinity=999"}),
        ([CARD_0], 1, {"library": False}),
    ],
    ids=["no GPU", "too few cores", "none near", "not supported", "broken", "no driver"],
)
def test_nothing_is_bound_if_too_few_cores_are_near(
    ask: Ask, gpus: list[str], least_cores: int, fake: dict[str, Any]
) -> None:
    bound, cores = ask(near(*gpus, least_cores=least_cores), **fake)
    assert bound == {"cores": None, "numa_node": None}
    assert cores == ALLOWED


@pytest.mark.parametrize("nodes", [0b11, 1 << 60], ids=["two nodes", "a missing node"])
def test_memory_is_not_bound_unless_exactly_one_node_is_near(ask: Ask, nodes: int) -> None:
    bound, _ = ask(near(CARD_0), answer=f"nvmlDeviceGetMemoryAffinity={nodes}")
    assert bound == {"cores": ALLOWED, "numa_node": None}


@pytest.fixture
def bound(monkeypatch: pytest.MonkeyPatch) -> list[set[int]]:
    """The cores of each binding, on a machine where a process may use six cores."""
    bindings: list[set[int]] = []
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3, 4, 5})
    monkeypatch.setattr("bench.measure.cpu_binding._bind", bindings.append)
    return bindings


def siblings(root: Path, *texts: str) -> Path:
    """Write the kernel files that list the logical cores of each physical core."""
    for core, text in enumerate(texts):
        folder = root / f"sys/devices/system/cpu/cpu{core}/topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(f"{text}\n")
    return root


def test_all_threads_may_use_their_old_cores_after_a_binding(
    bound: list[set[int]],
) -> None:
    with pytest.raises(KeyboardInterrupt), bound_to_cores(2) as binding:
        assert bound == [set(binding.cores or ())]
        raise KeyboardInterrupt
    assert [len(cores) for cores in bound] == [2, 6]


def test_processes_side_by_side_share_no_core(bound: list[set[int]], tmp_path: Path) -> None:
    chosen = [choose_cores(2, slot, tmp_path) for slot in range(3)]
    assert sorted(sum(chosen, ())) == [0, 1, 2, 3, 4, 5]
    assert bound == []


@pytest.mark.parametrize(
    ("texts", "cores"),
    [
        (("0-1", "0-1", "2-3", "2-3", "4-5", "4-5"), (0, 2, 4)),
        (("0,3", "1,4", "2,5", "0,3", "1,4", "2,5"), (0, 1, 2)),
        ((), (0, 1, 2)),
    ],
    ids=["siblings side by side", "siblings apart", "the kernel does not say"],
)
def test_each_physical_core_provides_one_core_before_any_provides_two(
    bound: list[set[int]], tmp_path: Path, texts: tuple[str, ...], cores: tuple[int, ...]
) -> None:
    assert choose_cores(3, root=siblings(tmp_path, *texts)) == cores
    assert bound == []


@pytest.mark.usefixtures("bound")
def test_too_many_cores_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match=r"8 cores .* 6"):
        choose_cores(4, 1, tmp_path)
