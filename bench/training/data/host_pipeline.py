"""Stream examples from the host with tf.data: from memory, or from files larger than it.

Usage:
    feed = from_memory(variant, arrays, seed, replicas)
    feed = from_files(variant, arrays, seed, replicas)

From memory, examples come in the order of the ``device`` pipeline. Files are read in a shuffled
order, several at once, through a shuffle buffer: a different order, but also equal on every
worker. Each worker reads every batch and prepares the part of its own replicas, as bytes. These
are copied to the replica's device ahead of the step that trains on them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from bench.datasets.arrays import Arrays
from bench.spec.variant import Variant
from bench.training.data.examples import ExampleReader
from bench.training.data.shuffle import Shuffle
from bench.training.data.tfrecord_shards import decode_records, shard_files
from bench.training.data.windows import Window, split_windows
from bench.training.replicas import Replicas

_Tensor = Any
FILES_AT_ONCE = 16
_GRAPH_SEED = 87_654_321
"""TensorFlow's default if there is no global seed."""
BUFFER_EXAMPLES = 16_384
BUFFER_BYTES = 256 * 2**20
"""Limits of the shuffle buffer: the lower one applies."""


class HostFeed:
    """An iterator over the replicas' parts of each batch: images as bytes, labels, indices.

    Each epoch starts an iterator inside its time and ends it: nothing is prepared for an epoch
    while the previous one is trained or validated.
    """

    waits = True

    def __init__(
        self,
        variant: Variant,
        reader: ExampleReader,
        order: Any,
        dataset_of: Callable[[_Tensor], tf.data.Dataset],
        replicas: Replicas,
    ) -> None:
        self.order, self.augments, self._reader = order, reader.augments, reader
        self._steps = variant.steps_per_epoch
        # The epoch is a variable, so that the dataset is built and traced once for all epochs.
        with tf.device("CPU:0"):
            self._epoch = tf.Variable(0, trainable=False, dtype=tf.int64)
            epochs = tf.data.Dataset.range(1).map(lambda _: self._epoch.read_value())
            dataset = epochs.flat_map(dataset_of).prefetch(tf.data.AUTOTUNE)
        self._start = replicas.iterators(dataset)

    def windows(self, epoch: int) -> Iterator[Window]:
        """Yield the windows of ``epoch``; each reads its batches from the epoch's iterator."""
        self._epoch.assign(epoch)
        iterator = self._start()
        for _, steps in split_windows(self._steps):
            yield steps, (iterator,)

    def fetch(self, step: _Tensor, *inputs: Any) -> tuple[Any, ...]:  # noqa: ARG002 (the parameters of Feed)
        """Return the next part of each replica of this worker."""
        return tuple(next(inputs[0]))

    def batch(self, *raw: Any) -> tuple[_Tensor, _Tensor]:
        """Convert a replica's part to numbers on its device."""
        images, labels, indices = raw
        return self._reader.prepare(images, indices), labels


def from_memory(variant: Variant, arrays: Arrays, seed: int, replicas: Replicas) -> HostFeed:
    """Return a feed of the examples of ``arrays``, in the host's memory."""
    order = Shuffle(variant.examples, seed)
    reader = ExampleReader(variant, len(arrays.train_images))
    batch, first_row = variant.global_batch_size, _worker_rows(variant, replicas).start
    local_replicas, size = variant.replicas, variant.per_replica_batch_size
    with tf.device("CPU:0"):
        images = tf.constant(arrays.train_images)
        labels = tf.constant(arrays.train_labels, tf.int64)

    def look_up(indices: _Tensor) -> tuple[_Tensor, _Tensor, _Tensor]:
        return *reader.look_up(images, labels, indices), indices

    def dataset_of(epoch: _Tensor) -> tf.data.Dataset:
        epoch_order = order.epoch_order(epoch)

        def indices_of(part: _Tensor) -> _Tensor:
            first = part // local_replicas * batch + first_row + part % local_replicas * size
            return tf.ensure_shape(order.window(epoch_order, first, size), (size,))

        parts = tf.data.Dataset.range(variant.steps_per_epoch * local_replicas).map(indices_of)
        return parts.map(look_up, num_parallel_calls=tf.data.AUTOTUNE)

    return HostFeed(variant, reader, order, dataset_of, replicas)


@dataclass(frozen=True)
class FileOrder:
    """Files in a shuffled order, and their examples through a shuffle buffer."""

    buffer: int
    """Number of examples in the buffer."""

    @property
    def method(self) -> str:
        """The name of this order, with the size of the buffer: it determines how well it mixes."""
        return f"files, buffer of {self.buffer}"


def from_files(variant: Variant, arrays: Arrays, seed: int, replicas: Replicas) -> HostFeed:
    """Return a feed of the same examples from files, and write the files if they are missing.

    The feed keeps nothing of ``arrays``. OSError if the disk is too small.
    """
    files = shard_files(arrays, variant.examples)
    shape, image_bytes = arrays.shape, arrays.train_images[0].nbytes
    reader = ExampleReader(variant, len(arrays.train_images))
    buffer = max(variant.global_batch_size, min(BUFFER_EXAMPLES, BUFFER_BYTES // image_bytes))
    rows, size = _worker_rows(variant, replicas), variant.per_replica_batch_size

    def decode(strings: _Tensor) -> tuple[_Tensor, _Tensor, _Tensor]:
        indices, images, labels = decode_records(strings, shape)
        return images, labels, indices

    def parts_of(strings: _Tensor) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensor_slices(tf.reshape(strings[rows], (-1, size)))

    def dataset_of(epoch: _Tensor) -> tf.data.Dataset:
        # Only of this function's graph: a global seed, which a user's workload may set, would
        # change the order.
        tf.compat.v1.set_random_seed(_GRAPH_SEED)
        key = tf.stack([tf.constant(seed, tf.int64), epoch])
        file_order = tf.random.experimental.stateless_shuffle(tf.constant(files), seed=key)
        buffer_seed = tf.random.stateless_uniform((), key, maxval=2**31 - 1, dtype=tf.int64)
        examples = tf.data.Dataset.from_tensor_slices(file_order).interleave(
            tf.data.TFRecordDataset,
            cycle_length=min(FILES_AT_ONCE, len(files)),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        mixed = examples.shuffle(buffer, seed=buffer_seed, reshuffle_each_iteration=False)
        batches = mixed.batch(variant.global_batch_size, drop_remainder=True)
        parts = batches.take(variant.steps_per_epoch).flat_map(parts_of)
        return parts.map(decode, num_parallel_calls=tf.data.AUTOTUNE)

    return HostFeed(variant, reader, FileOrder(buffer), dataset_of, replicas)


def _worker_rows(variant: Variant, replicas: Replicas) -> slice:
    """Return the rows of a global batch that belong to this worker's replicas."""
    size = variant.per_replica_batch_size * variant.replicas
    return slice(replicas.worker * size, (replicas.worker + 1) * size)
