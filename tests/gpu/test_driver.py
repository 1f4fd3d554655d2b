"""NVML describes a real card; no test here needs TensorFlow."""

import os
import signal
import subprocess
import sys

import pytest

from bench.measure.environment import environment
from bench.measure.gpu import Gpu, driver, gpu_processes, resolve_visible
from bench.measure.gpu_occupancy import IDLE_BYTES, occupancy, wait_until_free

pytestmark = pytest.mark.gpu

PATIENCE_S = 60.0
HOLDS = """
import ctypes, sys
cuda = ctypes.CDLL("libcuda.so.1")
context, memory = ctypes.c_void_p(), ctypes.c_void_p()
assert cuda.cuInit(0) == cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0) == 0
assert cuda.cuCtxSetCurrent(context) == 0
assert cuda.cuMemAlloc_v2(ctypes.byref(memory), ctypes.c_size_t(1 << 30)) == 0
print("ready", flush=True)
sys.stdin.read()
"""


def test_each_card_has_a_description_and_one_name(cards: tuple[Gpu, ...]) -> None:
    assert driver() is not None
    for card in cards:
        assert card.memory_bytes
        assert card.compute_capability
        assert resolve_visible(card.uuid) == card


def test_the_state_of_each_card_is_recorded(cards: tuple[Gpu, ...]) -> None:
    recorded = {card["uuid"]: card["state"] for card in environment()["gpus"]}
    for card in cards:
        if not card.is_instance:
            assert recorded[card.uuid]["power_cap_w"] > 0


def test_memory_of_a_killed_process_is_released(cards: tuple[Gpu, ...]) -> None:
    uuid = cards[0].uuid
    before = occupancy(uuid).held_bytes
    assert before is not None
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": uuid},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        held = occupancy(uuid).held_bytes
        assert held is not None
        assert held - before >= 2**30
        # In a container of its own process numbers, the driver may list none, or another.
        assert gpu_processes(uuid) is not None
        process.send_signal(signal.SIGKILL)
    waited = wait_until_free({uuid: before}, PATIENCE_S)
    assert (waited.busy, waited.held_bytes) == ({}, {})
    after = occupancy(uuid).held_bytes
    assert after is not None
    assert after - before <= IDLE_BYTES
