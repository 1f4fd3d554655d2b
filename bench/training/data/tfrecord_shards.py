"""Examples in sharded TFRecord files, written once and then streamed.

Usage:
    files = shard_files(arrays, examples=5_500_000)      # writes them, or finds them whole
    dataset = tf.data.TFRecordDataset(files)             # of raw strings, of record_bytes(...)
    indices, images, labels = decode_records(strings, shape)

A record is an example's index (8 bytes), its label (4) and the bytes of the image that it shows;
changes by index are made where it is read, as in every pipeline. TFRecord itself holds a checksum
of each record, and reading one that is damaged is an error. ``manifest.json`` comes last, by a
rename of the whole folder: what an interruption leaves has none, and is written anew. That they
hold these very examples is not looked at again, since it would take as long as to read them: they
are in a folder to which their user alone can write.
"""

import errno
import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from filelock import FileLock

from bench.datasets.arrays import Arrays
from bench.files.bounded_reading import MiB, read_file
from bench.files.private_folder import private_folder

_Tensor = Any

MAX_SHARDS = 256
SHARD_BYTES = 128 * 2**20
"""Aimed at; a shard is larger where ``MAX_SHARDS`` are not enough."""
MIN_SHARDS = 16
"""So that their order shuffles something."""
_FRAMING_BYTES = 16
"""Length and two checksums, that TFRecord puts around each record."""
_HEAD_BYTES = 12
_VERSION = 1
_MANIFEST = "manifest.json"
_MOST_MANIFEST_BYTES = MiB
KIND = "tfrecord"
"""Which of the user's private folders they are in."""


def shard_files(arrays: Arrays, examples: int, place: Path | None = None) -> list[str]:
    """The paths of the shards, in order, of ``examples`` made from ``arrays``.

    Files of another process that is writing the same are waited for. OSError where the disk of
    ``place`` has no room; it is a private folder of the cache unless given, and OSError where
    others could write to that.
    """
    place = place or private_folder(KIND)
    place.mkdir(parents=True, exist_ok=True)
    folder = place / _key(arrays, examples)
    with FileLock(place / f".{folder.name}.lock"):
        if not _is_whole(folder):
            # Whoever was writing the same is gone, or would hold the lock.
            for left in (folder, *place.glob(f".{folder.name}-*")):
                shutil.rmtree(left, ignore_errors=True)
            _write(folder, arrays, examples)
    return [str(folder / name) for name in _sizes(folder)]


def decode_records(strings: _Tensor, shape: tuple[int, ...]) -> tuple[_Tensor, _Tensor, _Tensor]:
    """Of records (n,): indices (n,) int64, images (n, *shape) uint8, labels (n,) int64."""
    length = _HEAD_BYTES + int(np.prod(shape))
    data = tf.io.decode_raw(strings, tf.uint8, fixed_length=length, little_endian=True)
    data = tf.ensure_shape(data, (strings.shape[0], length))
    indices = tf.bitcast(data[:, :8], tf.int64)
    labels = tf.cast(tf.bitcast(data[:, 8:_HEAD_BYTES], tf.int32), tf.int64)
    return indices, tf.reshape(data[:, _HEAD_BYTES:], (-1, *shape)), labels


def _key(arrays: Arrays, examples: int) -> str:
    """Equal for equal contents."""
    content = hashlib.sha256(f"{_VERSION} {examples} {arrays.shape}".encode())
    content.update(np.ascontiguousarray(arrays.train_images).data)
    content.update(np.ascontiguousarray(arrays.train_labels).data)
    return content.hexdigest()[:16]


def _is_whole(folder: Path) -> bool:
    """Whether every file is there in its full length."""
    try:
        return all((folder / name).stat().st_size == n for name, n in _sizes(folder).items())
    except (OSError, ValueError, RecursionError, AttributeError):
        return False


def _sizes(folder: Path) -> dict[str, int]:
    """Of each file, in bytes, as the manifest has them."""
    sizes: dict[str, int] = json.loads(read_file(folder / _MANIFEST, _MOST_MANIFEST_BYTES))
    return sizes


def _write(folder: Path, arrays: Arrays, examples: int) -> None:
    payload = _HEAD_BYTES + arrays.train_images[0].nbytes
    total = examples * (payload + _FRAMING_BYTES)
    _check_room(folder.parent, total)
    shards = min(examples, max(MIN_SHARDS, min(MAX_SHARDS, -(-total // SHARD_BYTES))))
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as staging:
        fresh = Path(staging) / folder.name
        fresh.mkdir()
        sizes = {}
        for number in range(shards):
            file = fresh / f"{number:05d}-of-{shards:05d}.tfrecord"
            _write_shard(file, arrays, range(number, examples, shards))
            sizes[file.name] = file.stat().st_size
        (fresh / _MANIFEST).write_text(json.dumps(sizes, indent=1) + "\n")
        fresh.rename(folder)


def _write_shard(file: Path, arrays: Arrays, indices: range) -> None:
    """Every so manieth example: each shard is like the whole."""
    originals = len(arrays.train_images)
    labels = arrays.train_labels.astype("<i4")
    with tf.io.TFRecordWriter(str(file)) as writer:
        for index in indices:
            row = index % originals
            head = index.to_bytes(8, "little") + labels[row].tobytes()
            writer.write(head + arrays.train_images[row].tobytes())


def _check_room(place: Path, needed_bytes: int) -> None:
    free = shutil.disk_usage(place).free
    if free < needed_bytes:
        raise OSError(
            errno.ENOSPC,
            f"{os.strerror(errno.ENOSPC)}: the files take {needed_bytes / 1e9:.1f} GB, "
            f"{free / 1e9:.1f} GB are free: lower examples, or set BENCH_CACHE_DIR",
            str(place),
        )
