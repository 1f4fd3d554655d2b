"""Store examples in sharded TFRecord files, written once and then streamed.

Usage:
    files = shard_files(arrays, examples=5_500_000)      # writes them, unless they are complete
    dataset = tf.data.TFRecordDataset(files)             # of raw strings
    indices, images, labels = decode_records(strings, shape)

A record is an example's index (8 bytes), its label (4) and the bytes of its image. As in every
pipeline, an image is augmented after it is read. TFRecord stores a checksum of each record, and
reading a damaged one is an error. ``manifest.json`` is written last, and the folder is renamed
into place: an interrupted write leaves no manifest, and the files are written again. The
contents are not checked again, which would take as long as reading them: only their user can
write to their folder.
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

from bench.datasets.arrays import Arrays
from bench.files.bounded_reading import MiB, read_file
from bench.files.file_lock import file_lock
from bench.files.private_folder import private_folder

_Tensor = Any

MAX_SHARDS = 256
SHARD_BYTES = 128 * 2**20
"""Target size; shards are larger if ``MAX_SHARDS`` of them are not enough."""
MIN_SHARDS = 16
"""Enough for a shuffled order of files to matter."""
_FRAMING_BYTES = 16
"""The length and two checksums that TFRecord stores with each record."""
_HEAD_BYTES = 12
_VERSION = 1
_MANIFEST = "manifest.json"
_MAX_MANIFEST_BYTES = MiB
KIND = "tfrecord"
"""The kind of private folder that holds them."""


def shard_files(arrays: Arrays, examples: int, parent: Path | None = None) -> list[str]:
    """Return the paths of the shards of ``examples`` examples of ``arrays``, in order.

    Write them if they are missing; if another process is writing the same ones, wait for it.
    ``parent`` is by default a private folder in the cache. OSError if its disk is too small, or
    if others could write to the private folder.
    """
    parent = parent or private_folder(KIND)
    parent.mkdir(parents=True, exist_ok=True)
    folder = parent / _key(arrays, examples)
    with file_lock(parent / f".{folder.name}.lock"):
        if not _is_complete(folder):
            # This process has the lock, so no other one is still writing them.
            for stale in (folder, *parent.glob(f".{folder.name}-*")):
                shutil.rmtree(stale, ignore_errors=True)
            _write(folder, arrays, examples)
    return [str(folder / name) for name in _sizes(folder)]


def decode_records(strings: _Tensor, shape: tuple[int, ...]) -> tuple[_Tensor, _Tensor, _Tensor]:
    """Decode records (n,) into indices (n,) int64, images (n, *shape) uint8, labels (n,) int64."""
    length = _HEAD_BYTES + int(np.prod(shape))
    data = tf.io.decode_raw(strings, tf.uint8, fixed_length=length, little_endian=True)
    data = tf.ensure_shape(data, (strings.shape[0], length))
    indices = tf.bitcast(data[:, :8], tf.int64)
    labels = tf.cast(tf.bitcast(data[:, 8:_HEAD_BYTES], tf.int32), tf.int64)
    return indices, tf.reshape(data[:, _HEAD_BYTES:], (-1, *shape)), labels


def _key(arrays: Arrays, examples: int) -> str:
    """Return a key that is equal for equal contents."""
    content = hashlib.sha256(f"{_VERSION} {examples} {arrays.shape}".encode())
    content.update(np.ascontiguousarray(arrays.train_images).data)
    content.update(np.ascontiguousarray(arrays.train_labels).data)
    return content.hexdigest()[:16]


def _is_complete(folder: Path) -> bool:
    """Return whether every file exists with its full length."""
    try:
        return all((folder / name).stat().st_size == n for name, n in _sizes(folder).items())
    except (OSError, ValueError, RecursionError, AttributeError):
        return False


def _sizes(folder: Path) -> dict[str, int]:
    """Return the size in bytes of each file in the manifest."""
    sizes: dict[str, int] = json.loads(read_file(folder / _MANIFEST, _MAX_MANIFEST_BYTES))
    return sizes


def _write(folder: Path, arrays: Arrays, examples: int) -> None:
    payload = _HEAD_BYTES + arrays.train_images[0].nbytes
    total = examples * (payload + _FRAMING_BYTES)
    _check_free_space(folder.parent, total)
    shards = min(examples, max(MIN_SHARDS, min(MAX_SHARDS, -(-total // SHARD_BYTES))))
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as staging:
        new_folder = Path(staging) / folder.name
        new_folder.mkdir()
        sizes = {}
        for number in range(shards):
            file = new_folder / f"{number:05d}-of-{shards:05d}.tfrecord"
            _write_shard(file, arrays, range(number, examples, shards))
            sizes[file.name] = file.stat().st_size
        (new_folder / _MANIFEST).write_text(json.dumps(sizes, indent=1) + "\n")
        new_folder.rename(folder)


def _write_shard(file: Path, arrays: Arrays, indices: range) -> None:
    """Write the examples ``indices``, every n-th one, so that all shards are alike."""
    originals = len(arrays.train_images)
    labels = arrays.train_labels.astype("<i4")
    with tf.io.TFRecordWriter(str(file)) as writer:
        for index in indices:
            row = index % originals
            head = index.to_bytes(8, "little") + labels[row].tobytes()
            writer.write(head + arrays.train_images[row].tobytes())


def _check_free_space(parent: Path, needed_bytes: int) -> None:
    free = shutil.disk_usage(parent).free
    if free < needed_bytes:
        raise OSError(
            errno.ENOSPC,
            f"{os.strerror(errno.ENOSPC)}: the files take {needed_bytes / 1e9:.1f} GB, "
            f"{free / 1e9:.1f} GB are free: lower examples, or set BENCH_CACHE_DIR",
            str(parent),
        )
