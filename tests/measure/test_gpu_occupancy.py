"""A GPU is free or busy, read through the real NVML binding over a fake library."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.measure.gpu_occupancy import BUSY_SHARE, Occupancy

Ask = Callable[..., Any]

CARD_0 = "GPU-0000aaaa-0000-0000-0000-000000000000"
CARD_1 = "GPU-1000aaaa-0000-0000-0000-000000000000"
INSTANCE = "MIG-1001bbbb-0000-0000-0000-000000000000"
GIB = 2**30


def wait_call(uuid: str, baseline_bytes: int | None = 0, timeout_s: float = 0.0) -> str:
    """Return an expression that waits without sleeping."""
    baselines = {uuid: baseline_bytes}
    return f"wait_until_free({baselines!r}, {timeout_s}, sleep=lambda _: None)"


def test_an_idle_gpu_is_free_at_once(ask: Ask) -> None:
    sleeps = f"(n := [], wait_until_free({{{CARD_0!r}: 0}}, 60, sleep=n.append), len(n))[2]"
    assert ask(sleeps) == 0


def test_the_wait_includes_the_memory_of_a_dead_process(ask: Ask) -> None:
    sleeps = f"(n := [], wait_until_free({{{CARD_0!r}: 0}}, 60, sleep=n.append), len(n))[2]"
    assert ask(sleeps, free_after=6) == 3


def test_a_process_that_computes_makes_a_gpu_busy_and_is_named(ask: Ask) -> None:
    answer = ask(wait_call(CARD_0), computing=1234)
    assert answer["busy"].keys() == {CARD_0}
    assert "1234" in answer["busy"][CARD_0]
    assert answer["held_bytes"] == {}


def test_only_the_given_gpus_are_checked(ask: Ask) -> None:
    assert ask(wait_call(CARD_1), cards=2, computing=1234) == {"busy": {}, "held_bytes": {}}


def test_a_display_server_does_not_make_a_gpu_busy(ask: Ask) -> None:
    assert ask(wait_call(CARD_0), drawing=99) == {"busy": {}, "held_bytes": {}}


def test_memory_without_a_listed_process_is_reported_and_is_not_an_error(ask: Ask) -> None:
    fake = {"free_after": 999, "memory_bytes": 80 * GIB}
    assert ask(wait_call(CARD_0), **fake) == {"busy": {}, "held_bytes": {CARD_0: 8 * GIB}}
    silent = {"fail": "nvmlDeviceGetComputeRunningProcesses_v3=3"}
    assert ask(wait_call(CARD_0), **fake, **silent)["held_bytes"] == {CARD_0: 8 * GIB}


def test_much_memory_without_a_listed_process_makes_a_gpu_busy(ask: Ask) -> None:
    answer = ask(wait_call(CARD_0), free_after=999, memory_bytes=24 * GIB)
    assert answer["busy"].keys() == {CARD_0}


def test_memory_is_compared_with_the_baseline_of_the_same_gpu(ask: Ask) -> None:
    fake = {"free_after": 999, "memory_bytes": 24 * GIB}
    assert ask(wait_call(CARD_0, 8 * GIB), **fake) == {"busy": {}, "held_bytes": {}}
    assert ask(wait_call(CARD_0, 7 * GIB), **fake) == {"busy": {}, "held_bytes": {CARD_0: GIB}}


def test_without_a_baseline_the_wait_ignores_little_memory(ask: Ask) -> None:
    fake = {"free_after": 999, "memory_bytes": 80 * GIB}
    assert ask(wait_call(CARD_0, None, 60.0), **fake) == {"busy": {}, "held_bytes": {}}


def test_without_a_baseline_much_memory_is_reported_and_is_not_an_error(ask: Ask) -> None:
    fake = {"memory_bytes": 24 * GIB}
    assert ask(wait_call(CARD_0, None, 60.0), free_after=6, **fake) == {
        "busy": {},
        "held_bytes": {},
    }
    held = ask(wait_call(CARD_0, None), free_after=999, **fake)
    assert held == {"busy": {}, "held_bytes": {CARD_0: 8 * GIB}}


def test_a_gpu_with_unknown_memory_is_free_if_no_process_computes(
    ask: Ask,
) -> None:
    silent = "nvmlDeviceGetMemoryInfo_v2=3,nvmlDeviceGetMemoryInfo=3"
    assert ask(f"occupancy({CARD_0!r})", fail=silent)["held_bytes"] is None
    assert ask(wait_call(CARD_0), fail=silent) == {"busy": {}, "held_bytes": {}}


def test_the_wait_works_for_an_instance(ask: Ask) -> None:
    answer = ask(wait_call(INSTANCE), cards=2, mig=1, free_after=999)
    assert answer["busy"].keys() == {INSTANCE}


def test_waiting_for_a_missing_gpu_is_an_error(ask: Ask) -> None:
    assert "no GPU" in ask(wait_call(CARD_0), library=False)["error"]
    assert "NVML error 6" in ask(wait_call("GPU-9"))["error"]


_HOLDS = """
import ctypes, sys
name, table, card = sys.argv[1:]
with open("/proc/self/comm", "w") as file: file.write(name)
library = ctypes.CDLL("libnvidia-ml.so.1")
library.memory_charge(int(card), -1, ctypes.c_longlong(2**30))
print(flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(("name", "busy"), [("python", True), ("nvidia-cuda-mps-server", False)])
def test_the_mps_service_is_not_another_process(
    ask: Ask, fake_nvml: Path, tmp_path: Path, name: str, busy: bool
) -> None:
    table = str(tmp_path / "held")
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDS, name, table, "0"],
        env={"LD_LIBRARY_PATH": str(fake_nvml), "FAKE_CUDA_MEMORY": table},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        state = ask(f"occupancy({CARD_0!r})", held=table)
        other.kill()
    assert state["computing"] == ([other.pid] if busy else [])
    assert state["held_bytes"] == GIB


bytes_held = st.none() | st.integers(0, 100 * GIB)


@given(bytes_held, bytes_held, st.integers(GIB, 100 * GIB))
def test_unknown_memory_is_not_an_excess_and_a_small_excess_is_not_busy(
    held_bytes: int | None, baseline_bytes: int | None, memory_bytes: int
) -> None:
    state = Occupancy((), held_bytes, memory_bytes)
    excess_bytes = state.excess_bytes(baseline_bytes)
    if held_bytes is None or baseline_bytes is None:
        assert excess_bytes == 0
    else:
        assert excess_bytes == max(0, held_bytes - baseline_bytes)
        assert (state.busy(baseline_bytes) is None) == (excess_bytes <= BUSY_SHARE * memory_bytes)
    assert state.busy(held_bytes) is None
