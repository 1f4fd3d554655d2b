"""The files of one folder are read, and every damage is detected."""

import gzip
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.datasets.arrays import Arrays
from bench.datasets.fashion_mnist import (
    FILES,
    TEST_LABELS,
    TRAIN_IMAGES,
    TRAIN_LABELS,
    DataFolder,
    FileCheck,
    read_folder,
    split,
)
from tests.support.other_users import SPECIAL, plant


def _bytes_of(folder: Path, name: str) -> bytes:
    path = folder / name
    return path.read_bytes() if path.exists() else gzip.decompress(Path(f"{path}.gz").read_bytes())


@pytest.fixture(scope="module")
def arrays(fashion_mnist_dir: Path) -> Arrays:
    return split(read_folder(DataFolder("here", fashion_mnist_dir)))


@pytest.fixture(scope="module")
def label_bytes(fashion_mnist_dir: Path) -> bytes:
    return _bytes_of(fashion_mnist_dir, TEST_LABELS.name)


def test_the_sets_have_their_documented_sizes(arrays: Arrays) -> None:
    assert arrays.train_images.shape == (55_000, 28, 28, 1)
    assert arrays.val_images.shape == (5_000, 28, 28, 1)
    assert arrays.test_images.shape == (10_000, 28, 28, 1)
    assert (arrays.shape, arrays.classes, arrays.real) == ((28, 28, 1), 10, True)


def test_the_first_five_thousand_training_images_are_the_validation_set(
    arrays: Arrays, fashion_mnist_dir: Path
) -> None:
    raw = _bytes_of(fashion_mnist_dir, TRAIN_IMAGES.name)
    assert arrays.val_images.tobytes() == raw[16 : 16 + 5_000 * 784]
    assert arrays.train_images.tobytes() == raw[16 + 5_000 * 784 :]
    assert arrays.val_labels[:5].tolist() == [9, 0, 0, 3, 0]
    labels = _bytes_of(fashion_mnist_dir, TRAIN_LABELS.name)[8:]
    assert arrays.train_labels.tolist() == list(labels[5_000:])


def test_each_class_has_a_tenth_of_the_data(arrays: Arrays) -> None:
    both = np.concatenate([arrays.train_labels, arrays.val_labels])
    assert np.bincount(both).tolist() == [6_000] * 10
    assert np.bincount(arrays.test_labels).tolist() == [1_000] * 10


def test_every_array_is_contiguous_and_has_its_documented_type(arrays: Arrays) -> None:
    for images in (arrays.train_images, arrays.val_images, arrays.test_images):
        assert images.flags.c_contiguous and images.dtype == np.uint8
    for labels in (arrays.train_labels, arrays.val_labels, arrays.test_labels):
        assert labels.flags.c_contiguous and labels.dtype == np.int32


def test_uncompressed_files_are_accepted(good_folder: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    for file in FILES:
        (plain / file.name).write_bytes(_bytes_of(good_folder, file.name))
    content = read_folder(DataFolder("plain", plain))
    assert content.complete and content.problem == ""
    assert [check.path.suffix for check in content.checks] == [""] * 4


def test_missing_files_and_folders_are_reported(good_folder: Path, tmp_path: Path) -> None:
    assert read_folder(DataFolder("", tmp_path / "not")).problem == "no such folder"
    (tmp_path / "file").touch()
    assert read_folder(DataFolder("", tmp_path / "file")).problem == "not a folder"
    (tmp_path / "empty").mkdir()
    assert read_folder(DataFolder("", tmp_path / "empty")).problem == "has none of the four files"
    (good_folder / f"{TRAIN_IMAGES.name}.gz").unlink()
    content = read_folder(DataFolder("", good_folder))
    assert content.problem == "train-images-idx3-ubyte.gz is missing"
    assert not content.complete


def test_a_path_below_a_file_is_reported_as_unreadable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert read_folder(DataFolder("", tmp_path / "file" / "below")).problem.startswith(
        "cannot be read"
    )


def test_a_folder_in_place_of_a_file_is_reported(good_folder: Path) -> None:
    path = good_folder / f"{TRAIN_LABELS.name}.gz"
    path.unlink()
    path.mkdir()
    problem = read_folder(DataFolder("", good_folder)).problem
    assert problem == "train-labels-idx1-ubyte.gz cannot be read: Is a directory"


def test_another_dataset_of_the_same_size_is_rejected(good_folder: Path) -> None:
    path = good_folder / f"{TEST_LABELS.name}.gz"
    path.unlink()
    path.write_bytes(gzip.compress(b"\x00\x00\x08\x01\x00\x00\x27\x10" + bytes(10_000)))
    problem = read_folder(DataFolder("", good_folder)).problem
    assert problem == "t10k-labels-idx1-ubyte.gz is not the right file: its SHA-256 differs"


def _check(folder: Path, content: bytes) -> FileCheck:
    (folder / f"{TEST_LABELS.name}.gz").write_bytes(content)
    return read_folder(DataFolder("", folder)).checks[FILES.index(TEST_LABELS)]


position = st.floats(0, 1, exclude_max=True)
damage = settings(
    deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@given(share=position, zipped=st.booleans())
@damage
def test_a_truncated_file_is_reported_as_truncated(
    tmp_path: Path, label_bytes: bytes, share: float, zipped: bool
) -> None:
    content = gzip.compress(label_bytes) if zipped else label_bytes
    check = _check(tmp_path, content[: int(share * len(content))])
    assert not check.ok
    assert "is truncated" in str(check.problem)


@given(share=position, bit=st.integers(0, 7))
@damage
def test_a_flipped_bit_in_an_uncompressed_file_is_detected(
    tmp_path: Path, label_bytes: bytes, share: float, bit: int
) -> None:
    content = bytearray(label_bytes)
    content[int(share * len(content))] ^= 1 << bit
    assert not _check(tmp_path, bytes(content)).ok


@given(share=position, bit=st.integers(0, 7))
@damage
def test_a_flipped_bit_in_a_gzipped_file_never_yields_wrong_bytes(
    tmp_path: Path, label_bytes: bytes, share: float, bit: int
) -> None:
    content = bytearray(gzip.compress(label_bytes))
    content[int(share * len(content))] ^= 1 << bit
    check = _check(tmp_path, bytes(content))
    if check.ok:  # the bit is in an irrelevant field, such as the time
        assert gzip.decompress(bytes(content)) == label_bytes
    else:
        assert check.problem


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", [*SPECIAL, "link to a device", "huge"])
def test_endless_files_are_rejected_without_being_read(good_folder: Path, kind: str) -> None:
    plant(kind, good_folder / f"{TEST_LABELS.name}.gz")
    content = read_folder(DataFolder("", good_folder))
    assert [check.ok for check in content.checks] == [file != TEST_LABELS for file in FILES]


def test_a_gzip_stream_is_decompressed_only_up_to_the_known_size(tmp_path: Path) -> None:
    bomb = gzip.compress(bytes(64 * 2**20))
    tracemalloc.start()
    check = _check(tmp_path, bomb)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "SHA-256" in str(check.problem)
    assert peak_bytes < 2**20
