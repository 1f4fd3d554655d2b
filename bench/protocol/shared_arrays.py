"""Share a dataset with trial processes: one copy in memory that has no name and no writer.

Usage:
    with SharedArrays(arrays) as shared:                  # in the holder
        stream.send(StartTrial(data=shared.layout, ...), [shared.descriptor, log])
    arrays = map_arrays(descriptor, layout)               # in the trial process, read-only

The kernel frees the memory when the last process that has it ends, however that happens. Until
then a process of the same user finds a copy by its key:

    shared = SharedArrays.find(arrays, key) or SharedArrays(arrays, key)
"""

import contextlib
import fcntl
import math
import mmap
import os
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bench.datasets.arrays import Arrays
from bench.protocol.messages import ArrayLayout, DataLayout, MessageError

_ALIGNMENT = 64
"""Bytes of a cache line, as TensorFlow aligns its tensors."""
_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
_NAMES = ("train_images", "train_labels", "val_images", "val_labels", "test_images", "test_labels")


class SharedArrays:
    """The copy of a dataset that processes map; OSError if there is no memory for it."""

    def __init__(self, arrays: Arrays, key: str = "") -> None:
        self.layout, size = _layout(arrays)
        self.descriptor = os.memfd_create(_name(key), os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(self.descriptor, size)
            for name, layout in self.layout.arrays.items():
                _write(self.descriptor, getattr(arrays, name), layout.offset)
            fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, _SEALS)
        except BaseException:
            os.close(self.descriptor)
            raise

    @classmethod
    def find(cls, arrays: Arrays, key: str) -> Self | None:
        """Return the copy of ``arrays`` with that key which a process of this user holds.

        None if there is none. The arrays are only measured, not compared.
        """
        layout, size = _layout(arrays)
        descriptor = _find_memory(_name(key), size)
        if descriptor is None:
            return None
        shared = cls.__new__(cls)
        shared.layout, shared.descriptor = layout, descriptor
        return shared

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give up this process's hold on the memory."""
        os.close(self.descriptor)


def map_arrays(descriptor: int, layout: DataLayout) -> Arrays:
    """Return the arrays in the shared memory, read-only; MessageError if it cannot hold them."""
    if sorted(layout.arrays) != sorted(_NAMES):
        raise MessageError(f"a dataset of the arrays {', '.join(sorted(layout.arrays))}")
    size = os.fstat(descriptor).st_size
    for name, array in layout.arrays.items():
        if array.offset + _size_bytes(array) > size:
            raise MessageError(f"{name} ends beyond the {size} bytes of shared memory")
    # A map must not be empty, and a dataset of empty arrays needs none.
    memory = mmap.mmap(descriptor, size, prot=mmap.PROT_READ) if size else b""
    mapped = {name: _view(memory, array) for name, array in layout.arrays.items()}
    return Arrays(**mapped, classes=layout.classes, real=layout.real)


def _layout(arrays: Arrays) -> tuple[DataLayout, int]:
    """Return where each array is in the memory, and the size of the memory."""
    layouts, size = {}, 0
    for name in _NAMES:
        array = getattr(arrays, name)
        layouts[name] = ArrayLayout(dtype=array.dtype.name, shape=array.shape, offset=size)
        size += -(-array.nbytes // _ALIGNMENT) * _ALIGNMENT
    return DataLayout(arrays=layouts, classes=arrays.classes, real=arrays.real), size


def _name(key: str) -> str:
    return f"bench-data-{key}" if key else "bench-data"


def _find_memory(name: str, size: int) -> int | None:
    """Open sealed memory of that name and size which a process of this user holds (proc(5))."""
    for folder in Path("/proc").glob("[0-9]*/fd"):
        with contextlib.suppress(OSError):  # it belongs to another user, or has ended
            if folder.stat().st_uid != os.getuid():
                continue
            for link in folder.iterdir():
                if str(link.readlink()) == f"/memfd:{name} (deleted)":
                    descriptor = os.open(link, os.O_RDONLY | os.O_CLOEXEC)
                    sealed = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & _SEALS == _SEALS
                    if sealed and os.fstat(descriptor).st_size == size:
                        return descriptor
                    os.close(descriptor)
    return None


def _view(memory: mmap.mmap | bytes, layout: ArrayLayout) -> Any:
    count = math.prod(layout.shape)
    flat = np.frombuffer(memory, np.dtype(layout.dtype), count, layout.offset if count else 0)
    return flat.reshape(layout.shape)


def _size_bytes(layout: ArrayLayout) -> int:
    return math.prod(layout.shape) * np.dtype(layout.dtype).itemsize


def _write(descriptor: int, array: NDArray[Any], offset: int) -> None:
    content = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
    while content:
        written = os.pwrite(descriptor, content, offset)
        content, offset = content[written:], offset + written
