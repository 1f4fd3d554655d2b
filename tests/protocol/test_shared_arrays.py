"""A dataset in shared memory is the one that was put there, and nobody can change it."""

import mmap
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.datasets.arrays import Arrays
from bench.datasets.synthetic import make_synthetic
from bench.protocol.messages import MessageError
from bench.protocol.shared_arrays import SharedArrays, map_arrays

ARRAYS = make_synthetic((3, 5, 1), 4, 70)


def arrays_of(train: int, test: int) -> Arrays:
    images = np.arange(train * 6, dtype=np.uint8).reshape(train, 2, 3, 1)
    labels = np.arange(train, dtype=np.int32)
    empty = images[:0], labels[:0]
    return Arrays(images, labels, *empty, images[:test], labels[:test], classes=3, real=True)


@given(st.integers(0, 40), st.integers(0, 40))
def test_arrays_are_mapped_as_they_were_shared(train: int, test: int) -> None:
    arrays = arrays_of(train, test)
    with SharedArrays(arrays) as shared:
        mapped = map_arrays(shared.descriptor, shared.layout)
    assert (mapped.classes, mapped.real) == (3, True)
    for name, expected in vars(arrays).items():
        if isinstance(expected, np.ndarray):
            found = getattr(mapped, name)
            assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
            assert np.array_equal(found, expected)
            assert not found.flags.writeable


def test_arrays_that_are_not_contiguous_are_shared_too() -> None:
    strided = Arrays(**{**vars(ARRAYS), "train_images": ARRAYS.train_images[::2]})
    with SharedArrays(strided) as shared:
        mapped = map_arrays(shared.descriptor, shared.layout)
    assert np.array_equal(mapped.train_images, ARRAYS.train_images[::2])


def test_the_memory_has_no_name_and_nobody_can_write_to_it() -> None:
    with SharedArrays(ARRAYS) as shared:
        target = Path(f"/proc/self/fd/{shared.descriptor}").readlink()
        assert str(target) == "/memfd:bench-data (deleted)"
        with pytest.raises(PermissionError):
            os.pwrite(shared.descriptor, b"x", 0)
        with pytest.raises(PermissionError):
            os.ftruncate(shared.descriptor, 0)
        with pytest.raises(PermissionError):
            mmap.mmap(shared.descriptor, 10)


def test_a_layout_that_the_memory_cannot_hold_is_refused() -> None:
    with SharedArrays(ARRAYS) as shared:
        images = shared.layout.arrays["train_images"]
        longer = images.model_copy(update={"shape": (10**6, 3, 5, 1)})
        arrays = {**shared.layout.arrays, "train_images": longer}
        with pytest.raises(MessageError, match="train_images ends beyond"):
            map_arrays(shared.descriptor, shared.layout.model_copy(update={"arrays": arrays}))
        del arrays["test_labels"]
        with pytest.raises(MessageError, match="a dataset of the arrays"):
            map_arrays(shared.descriptor, shared.layout.model_copy(update={"arrays": arrays}))
