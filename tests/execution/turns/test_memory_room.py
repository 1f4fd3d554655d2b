"""Another arm fits if memory has room for it and for the growth of those before it."""

import pytest

from bench.execution.turns import memory_room
from bench.execution.turns.memory_room import GROWTH, MARGIN, MemoryRoom, free_bytes

MIB = 2**20


class Memory:
    def __init__(self, **free: int) -> None:
        self.free = {name: mib * MIB for name, mib in free.items()}

    def __call__(self) -> dict[str, int]:
        return self.free

    def take(self, **taken: int) -> None:
        self.free = {name: free - taken[name] * MIB for name, free in self.free.items()}


def test_the_first_arm_always_starts() -> None:
    assert MemoryRoom(Memory(host=0)).shortage() is None


def test_the_largest_arm_so_far_decides_with_a_margin() -> None:
    memory = Memory(host=1000)
    room = MemoryRoom(memory)
    memory.take(host=300)
    room.add()
    assert room.shortage() is None
    memory.take(host=320)
    room.add()
    need, growth = 320 * MARGIN, 620 * GROWTH
    assert room.shortage() == (
        f"another arm may need {need:.0f} MiB of host memory, the others {growth:.0f} MiB "
        "more, and 380 MiB are free"
    )


def test_the_arms_that_have_started_keep_room_to_grow() -> None:
    memory = Memory(host=1000)
    room = MemoryRoom(memory)
    for _ in range(8):
        memory.take(host=100)
        room.add()
    # The next one fits, but all of them could not grow.
    assert memory.free["host"] / MIB > 100 * MARGIN
    assert room.shortage() is not None


def test_each_memory_is_judged_by_itself() -> None:
    memory = Memory(host=1000, device=100)
    room = MemoryRoom(memory)
    memory.take(host=10, device=60)
    room.add()
    assert "of device memory" in str(room.shortage())


def test_a_memory_that_cannot_be_measured_any_more_decides_nothing() -> None:
    memory = Memory(host=1000, device=100)
    room = MemoryRoom(memory)
    memory.free = {"host": 900 * MIB}
    room.add()
    assert room.shortage() is None


def test_free_memory_is_that_of_the_host_and_of_gpus_that_report_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory_room, "available_memory_bytes", lambda: 7)
    monkeypatch.setattr(memory_room, "memory_bytes", {"GPU-a": 100, "GPU-b": None}.get)
    monkeypatch.setattr(memory_room, "used_memory_bytes", {"GPU-a": 30, "GPU-b": 1}.get)
    assert free_bytes(["GPU-a", "GPU-b"]) == {"host": 7, "GPU-a": 70}
