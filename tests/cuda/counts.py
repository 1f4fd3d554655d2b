"""Read what a process made its GPUs do, from the file that the counting CUDA stack writes.

Usage:
    reset()                                   # inside a process that runs on the stack
    counts = read_process()
    for counts in read_counts(folder):        # anywhere, for every process that used a GPU
        counts.devices[0].d2h_copies, counts.into(1)

``counters.h`` defines the file's layout.
"""

import ctypes
import json
import os
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_HEADER_BYTES = 4096


@dataclass(frozen=True)
class DeviceCounts:
    """The counts of one device, with their names in ``counters.h``."""

    uuid: str
    h2d_copies: int
    h2d_bytes: int
    h2d_big_copies: int
    h2d_big_bytes: int
    d2h_copies: int
    d2h_bytes: int
    d2h_big_copies: int
    d2h_big_bytes: int
    memsets: int
    launches: int
    graph_launches: int
    graph_kernels: int
    blas_calls: int
    blas_lt_calls: int
    dnn_calls: int
    collectives: int
    stream_syncs: int
    event_syncs: int
    event_waits: int
    peak_memory_bytes: int
    memory_bytes: int
    memory_found_bytes: int


@dataclass(frozen=True)
class Between:
    """Copies from one device to another, or within one."""

    source: int
    target: int
    copies: int
    bytes: int


@dataclass(frozen=True)
class Counts:
    """All counts of a process, with devices numbered as it sees them."""

    pid: int
    devices: tuple[DeviceCounts, ...]
    between: tuple[Between, ...]

    @classmethod
    def of_json(cls, data: dict[str, Any]) -> "Counts":
        """Restore counts from ``dataclasses.asdict`` and JSON."""
        return cls(
            pid=data["pid"],
            devices=tuple(DeviceCounts(**device) for device in data["devices"]),
            between=tuple(Between(**pair) for pair in data["between"]),
        )

    def into(self, device: int) -> int:
        """Return the bytes copied to ``device`` from the host and from other devices."""
        from_devices = (b.bytes for b in self.between if b.target == device != b.source)
        return self.devices[device].h2d_bytes + sum(from_devices)


def reset() -> None:
    """Reset the counts of this process, which runs on the stack."""
    ctypes.CDLL("libcuda.so.1").fake_counters_reset()


def read_process() -> Counts:
    """Return the counts of this process, which runs on the stack."""
    return _read(Path(os.environ["FAKE_CUDA_COUNTERS"]) / f"{os.getpid()}.counts")


def read_counts(folder: Path) -> list[Counts]:
    """Return the counts of every process that counted in ``folder``, running or not."""
    return [_read(path) for path in sorted(folder.glob("*.counts"))]


def _read(path: Path) -> Counts:
    data = path.read_bytes()
    header = json.loads(data[:_HEADER_BYTES].rstrip(b"\0"))
    numbers = array("q", data[_HEADER_BYTES:])
    names, most = header["counts"], header["most_devices"]
    first = most * len(names)
    copies, sizes = numbers[first : first + most**2], numbers[first + most**2 :]
    return Counts(
        pid=header["pid"],
        devices=tuple(
            DeviceCounts(uuid, **dict(zip(names, numbers[i * len(names) :], strict=False)))
            for i, uuid in enumerate(header["devices"])
        ),
        between=tuple(
            Between(i // most, i % most, copies[i], sizes[i]) for i in range(most**2) if copies[i]
        ),
    )
