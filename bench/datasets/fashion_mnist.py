"""Read Fashion-MNIST from one folder: four IDX files, gzipped or plain, checked by SHA-256.

The checksum covers the decompressed bytes, because distributions compress the files differently.
IDX format: big-endian uint32 magic number (type and rank) and sizes, then the bytes.

Usage:
    content = read_folder(DataFolder("cache", path))
    if content.complete:
        arrays = split(content)
    else:
        print(content.problem)
"""

import hashlib
import os
import stat
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.datasets.arrays import Arrays
from bench.files.bounded_reading import KiB, read_file
from bench.spec.variant import FASHION_MNIST_TRAIN_EXAMPLES

CLASSES = 10
VALIDATION_EXAMPLES = 60_000 - FASHION_MNIST_TRAIN_EXAMPLES
"""The first images of the training file are the validation set."""


@dataclass(frozen=True)
class IdxFile:
    """One file of the dataset: its uncompressed name and its required content."""

    name: str
    sha256: str
    shape: tuple[int, ...]

    @property
    def size_bytes(self) -> int:
        """Size of the decompressed file, header included."""
        return self.header_bytes + int(np.prod(self.shape))

    @property
    def header_bytes(self) -> int:
        """Size of the header: a magic number and one size per axis."""
        return 4 + 4 * len(self.shape)


TRAIN_IMAGES = IdxFile(
    "train-images-idx3-ubyte",
    "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    (60_000, 28, 28),
)
TRAIN_LABELS = IdxFile(
    "train-labels-idx1-ubyte",
    "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    (60_000,),
)
TEST_IMAGES = IdxFile(
    "t10k-images-idx3-ubyte",
    "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    (10_000, 28, 28),
)
TEST_LABELS = IdxFile(
    "t10k-labels-idx1-ubyte",
    "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    (10_000,),
)
FILES = (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)

_MISSING = "is missing"
_GZIP = zlib.MAX_WBITS | 16
"""For zlib: expect gzip's header and checksum."""


@dataclass(frozen=True)
class DataFolder:
    """A folder that may hold the dataset, and its name in messages."""

    name: str
    path: Path


@dataclass(frozen=True)
class FileCheck:
    """Whether one file exists and holds the right bytes; ``problem`` says why not."""

    path: Path
    folder_name: str
    ok: bool
    problem: str | None = None


@dataclass(frozen=True, eq=False)
class FolderContent:
    """The content of one folder: a check of each file, and the bytes of the valid files."""

    folder: DataFolder
    checks: tuple[FileCheck, ...]
    values: dict[IdxFile, NDArray[np.uint8]]

    @property
    def complete(self) -> bool:
        """Whether all four files exist and are valid."""
        return all(check.ok for check in self.checks)

    @property
    def problem(self) -> str:
        """What is wrong with the folder, in one phrase; empty if it is complete."""
        failed = [check for check in self.checks if not check.ok]
        if [check.problem for check in failed] == [_MISSING] * len(FILES):
            return "has none of the four files"
        if not self.values and len(failed) == 1:
            return str(failed[0].problem)
        return ", ".join(f"{check.path.name} {check.problem}" for check in failed)


def read_folder(folder: DataFolder) -> FolderContent:
    """Read and check every file of one folder. Reports problems in the result, never raises."""
    reason = _folder_problem(folder.path)
    if reason:
        return FolderContent(folder, (FileCheck(folder.path, folder.name, False, reason),), {})
    checks, values = [], {}
    for file in FILES:
        path = _path_of(file, folder.path)
        try:
            values[file] = _read(path, file)
            checks.append(FileCheck(path, folder.name, True))
        except (OSError, EOFError, zlib.error, ValueError) as error:
            checks.append(FileCheck(path, folder.name, False, _reason(error)))
    return FolderContent(folder, tuple(checks), values)


def split(content: FolderContent) -> Arrays:
    """Split a complete folder into training, validation and test sets, without copying images."""
    images, labels = content.values[TRAIN_IMAGES][..., None], content.values[TRAIN_LABELS]
    start = VALIDATION_EXAMPLES
    return Arrays(
        train_images=images[start:],
        train_labels=labels[start:].astype(np.int32),
        val_images=images[:start],
        val_labels=labels[:start].astype(np.int32),
        test_images=content.values[TEST_IMAGES][..., None],
        test_labels=content.values[TEST_LABELS].astype(np.int32),
        classes=CLASSES,
        real=True,
    )


def _folder_problem(folder: Path) -> str | None:
    try:
        mode = folder.stat().st_mode
    except FileNotFoundError:
        return "no such folder"
    except OSError as error:
        return _reason(error)
    return None if stat.S_ISDIR(mode) else "not a folder"


def _path_of(file: IdxFile, folder: Path) -> Path:
    plain, zipped = folder / file.name, folder / f"{file.name}.gz"
    return plain if os.access(plain, os.F_OK) and not os.access(zipped, os.F_OK) else zipped


def _read(path: Path, file: IdxFile) -> NDArray[np.uint8]:
    # Gzip makes incompressible data slightly larger.
    raw = read_file(path, file.size_bytes + 64 * KiB)
    # Look at the content, not the name: browsers decompress a download but keep the ".gz".
    data = _decompress(raw, file.size_bytes) if raw.startswith(b"\x1f\x8b") else raw
    if len(data) < file.size_bytes:
        raise ValueError(f"is truncated: {len(data)} of {file.size_bytes} bytes")
    if hashlib.sha256(data).hexdigest() != file.sha256:
        raise ValueError("is not the right file: its SHA-256 differs")
    # The checksum covers the header, so there is no need to parse its sizes.
    return np.frombuffer(data, np.uint8, offset=file.header_bytes).reshape(file.shape)


def _decompress(raw: bytes, size_bytes: int) -> bytes:
    """Decompress a gzip stream, but at most one byte more than ``size_bytes``."""
    stream = zlib.decompressobj(_GZIP)
    data = stream.decompress(raw, size_bytes + 1)
    if len(data) <= size_bytes and not stream.eof:
        raise EOFError
    return data


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return _MISSING
    if isinstance(error, EOFError):
        return "is truncated: its gzip stream ends early"
    if isinstance(error, zlib.error):
        return f"is damaged: {error}"
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror or error}"
    return str(error)
