"""Fashion-MNIST in one folder: four IDX files, gzipped or plain, each checked and read once.

The files are known by the SHA-256 of their decompressed bytes, since distributions compress
them differently. Format: big-endian uint32 magic (type and rank) and sizes, then the bytes.

Usage:
    content = read_folder(Place("cache", folder))
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
"""The first images of the training file are kept for validation."""


@dataclass(frozen=True)
class IdxFile:
    """One file of the data set, under its plain name, and what it must hold."""

    name: str
    sha256: str
    shape: tuple[int, ...]

    @property
    def size_bytes(self) -> int:
        """Of the decompressed file, its header included."""
        return self.header_bytes + int(np.prod(self.shape))

    @property
    def header_bytes(self) -> int:
        """Magic number and one size per axis."""
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
"""For zlib: a header and a checksum as gzip has them."""


@dataclass(frozen=True)
class Place:
    """A folder that may hold the data set, and what people call it."""

    name: str
    folder: Path


@dataclass(frozen=True)
class FileCheck:
    """Whether one file is there and holds the right bytes; ``problem`` says why not."""

    path: Path
    place: str
    ok: bool
    problem: str | None = None


@dataclass(frozen=True, eq=False)
class FolderContent:
    """What one place holds: a check per file, and the bytes of those that are right."""

    place: Place
    checks: tuple[FileCheck, ...]
    values: dict[IdxFile, NDArray[np.uint8]]

    @property
    def complete(self) -> bool:
        """Whether all four files are there and right."""
        return all(check.ok for check in self.checks)

    @property
    def problem(self) -> str:
        """What is wrong there, in one phrase; empty where nothing is."""
        wrong = [check for check in self.checks if not check.ok]
        if [check.problem for check in wrong] == [_MISSING] * len(FILES):
            return "has none of the four files"
        if not self.values and len(wrong) == 1:
            return str(wrong[0].problem)
        return ", ".join(f"{check.path.name} {check.problem}" for check in wrong)


def read_folder(place: Place) -> FolderContent:
    """Read and check every file in one place. Never raises for what it finds there."""
    reason = _folder_problem(place.folder)
    if reason:
        return FolderContent(place, (FileCheck(place.folder, place.name, False, reason),), {})
    checks, values = [], {}
    for file in FILES:
        path = _path_of(file, place.folder)
        try:
            values[file] = _read(path, file)
            checks.append(FileCheck(path, place.name, True))
        except (OSError, EOFError, zlib.error, ValueError) as error:
            checks.append(FileCheck(path, place.name, False, _reason(error)))
    return FolderContent(place, tuple(checks), values)


def split(content: FolderContent) -> Arrays:
    """Training, validation and test arrays of a whole content, without copying images."""
    images, labels = content.values[TRAIN_IMAGES][..., None], content.values[TRAIN_LABELS]
    kept = VALIDATION_EXAMPLES
    return Arrays(
        train_images=images[kept:],
        train_labels=labels[kept:].astype(np.int32),
        val_images=images[:kept],
        val_labels=labels[:kept].astype(np.int32),
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
    # What cannot be compressed grows a little by gzip.
    raw = read_file(path, file.size_bytes + 64 * KiB)
    # By content, not by name: browsers decompress on the way and keep the ".gz".
    data = _decompressed(raw, file.size_bytes) if raw.startswith(b"\x1f\x8b") else raw
    if len(data) < file.size_bytes:
        raise ValueError(f"is truncated: {len(data)} of {file.size_bytes} bytes")
    if hashlib.sha256(data).hexdigest() != file.sha256:
        raise ValueError("is not the right file: its SHA-256 differs")
    # The checksum covers the header, so its sizes need no parsing.
    return np.frombuffer(data, np.uint8, offset=file.header_bytes).reshape(file.shape)


def _decompressed(raw: bytes, size_bytes: int) -> bytes:
    """The content of a gzip stream, of one that is longer a byte more than ``size_bytes``."""
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
