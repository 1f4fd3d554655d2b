"""The data of a block are copied once, and only if there is memory for them."""

import gc
import os
import subprocess
import sys
import weakref

import numpy as np
import pytest

from bench.datasets.arrays import Arrays
from bench.datasets.synthetic import make_synthetic
from bench.execution.turns import arm_data
from bench.execution.turns.arm_data import ArmData, MemoryShortageError, share
from bench.protocol.shared_arrays import map_arrays

OTHER_BLOCK = """
import sys
from bench.datasets.synthetic import make_synthetic
from bench.execution.turns.arm_data import ArmData, share
with share(ArmData(sys.argv[1], lambda: make_synthetic((2, 2, 1), 2, 8))):
    print("shared", flush=True)
    input()
"""


def small() -> Arrays:
    return make_synthetic((2, 2, 1), 2, 8)


def key(name: str) -> str:
    """A key that no other process of this test run uses."""
    return f"{name}-{os.getpid()}"


def test_nothing_keeps_the_arrays_once_they_are_copied() -> None:
    loaded: list[weakref.ref[Arrays]] = []

    def load() -> Arrays:
        arrays = small()
        loaded.append(weakref.ref(arrays))
        return arrays

    with share(ArmData(key("dropped"), load)):
        gc.collect()
        assert [reference() for reference in loaded] == [None]


def test_blocks_at_once_share_one_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    command = [sys.executable, "-c", OTHER_BLOCK, key("two")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as other:
        assert other.stdin
        assert other.stdout
        assert other.stdout.readline() == "shared\n"
        monkeypatch.setattr(arm_data, "available_memory_bytes", lambda: 0)
        shared = share(ArmData(key("two"), small))
        other.stdin.write("\n")
        other.stdin.close()
    with shared:
        mapped = map_arrays(shared.descriptor, shared.layout)
    assert np.array_equal(mapped.train_images, small().train_images)


def test_other_data_are_not_shared() -> None:
    larger = ArmData(key("one"), lambda: make_synthetic((2, 2, 1), 2, 800))
    with (
        share(ArmData(key("one"), small)) as one,
        share(ArmData(key("other"), small)) as other,
        share(larger) as more,
    ):
        inodes = {os.fstat(each.descriptor).st_ino for each in (one, other, more)}
    assert len(inodes) == 3


def test_without_memory_the_reason_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arm_data, "available_memory_bytes", lambda: 0)
    with pytest.raises(MemoryShortageError, match="end other programs, or train on fewer examples"):
        share(ArmData(key("none"), small))
