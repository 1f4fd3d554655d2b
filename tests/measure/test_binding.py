"""A process bound near its GPUs: the real binding to NVML and the real kernel."""

import os
from collections.abc import Callable
from typing import Any

import pytest

Ask = Callable[..., Any]

CARD_0 = "GPU-0000aaaa-0000-0000-0000-000000000000"
CARD_1 = "GPU-1000aaaa-0000-0000-0000-000000000000"
INSTANCE = "MIG-1001bbbb-0000-0000-0000-000000000000"
ALLOWED = sorted(os.sched_getaffinity(0))
LAST = ALLOWED[-1]

needs_two_cores = pytest.mark.skipif(len(ALLOWED) < 2, reason="one core")


def near(*uuids: str, least_cores: int = 1) -> str:
    """Where a process says that it was bound, and where all its threads then are."""
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
def test_an_instance_is_near_what_its_card_is_near(ask: Ask) -> None:
    answer = f"nvmlDeviceGetCpuAffinity={1 << LAST}"
    bound, _ = ask(near(INSTANCE), answer=answer, cards=2, mig=1)
    assert bound["cores"] == [LAST]


@needs_two_cores
def test_several_gpus_have_the_cores_of_all(ask: Ask) -> None:
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
def test_nothing_is_bound_where_nothing_is_near_or_too_little(
    ask: Ask, gpus: list[str], least_cores: int, fake: dict[str, Any]
) -> None:
    bound, cores = ask(near(*gpus, least_cores=least_cores), **fake)
    assert bound == {"cores": None, "numa_node": None}
    assert cores == ALLOWED


@pytest.mark.parametrize("nodes", [0b11, 1 << 60], ids=["two nodes", "a node that is not there"])
def test_memory_stays_as_it_was_where_no_one_node_is_near(ask: Ask, nodes: int) -> None:
    bound, _ = ask(near(CARD_0), answer=f"nvmlDeviceGetMemoryAffinity={nodes}")
    assert bound == {"cores": ALLOWED, "numa_node": None}
