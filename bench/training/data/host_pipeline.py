"""Examples streamed from the host by tf.data: out of memory, or out of files larger than it.

Usage:
    feed = from_memory(variant, arrays, seed, replicas)
    feed = from_files(variant, arrays, seed, replicas)

From memory they come in the order of the ``device`` pipeline. Files are read in a shuffled order,
several at once, through a shuffled buffer: another order, which is the same on every worker too.
Each worker reads every batch and prepares what its own replicas take, as bytes, which are brought
to the replica's device ahead of the step that trains on them.
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
from bench.training.loop.windows import Window, split_windows
from bench.training.strategy import Replicas

_Tensor = Any
FILES_AT_ONCE = 16
_GRAPH_SEED = 87_654_321
"""TensorFlow's own where there is no global seed."""
BUFFER_EXAMPLES = 16_384
BUFFER_BYTES = 256 * 2**20
"""Most examples, and most memory, that the shuffled buffer holds."""


class HostFeed:
    """An iterator over the replicas' parts of each batch: images as bytes, labels, indices.

    Each epoch has an iterator of its own, made inside its time and ending with it: no
    part of an epoch is prepared while the one before is trained or validated.
    """

    waits = True

    def __init__(
        self,
        variant: Variant,
        source: ExampleReader,
        order: Any,
        dataset_of: Callable[[_Tensor], tf.data.Dataset],
        replicas: Replicas,
    ) -> None:
        self.order, self.augments, self._source = order, source.augments, source
        self._steps = variant.steps_per_epoch
        # A variable, so that the dataset is built and traced once for all epochs.
        with tf.device("CPU:0"):
            self._epoch = tf.Variable(0, trainable=False, dtype=tf.int64)
            epochs = tf.data.Dataset.range(1).map(lambda _: self._epoch.read_value())
            dataset = epochs.flat_map(dataset_of).prefetch(tf.data.AUTOTUNE)
        self._start = replicas.iterators(dataset)

    def windows(self, epoch: int) -> Iterator[Window]:
        """Each window takes its batches from the epoch's iterator."""
        self._epoch.assign(epoch)
        iterator = self._start()
        for _, steps in split_windows(self._steps):
            yield steps, (iterator,)

    def take(self, step: _Tensor, *inputs: Any) -> tuple[Any, ...]:  # noqa: ARG002
        """The next part of each replica of this worker."""
        return tuple(next(inputs[0]))

    def batch(self, *taken: Any) -> tuple[_Tensor, _Tensor]:
        """A replica's part, made into numbers on its device."""
        images, labels, indices = taken
        return self._source.prepared(images, indices), labels


def from_memory(variant: Variant, arrays: Arrays, seed: int, replicas: Replicas) -> HostFeed:
    """The examples of ``arrays``, held by the host."""
    order, source = (
        Shuffle(variant.examples, seed),
        ExampleReader(variant, len(arrays.train_images)),
    )
    batch, own = variant.global_batch_size, _own_slice(variant, replicas)
    here, size = variant.replicas, variant.per_replica_batch_size
    with tf.device("CPU:0"):
        images = tf.constant(arrays.train_images)
        labels = tf.constant(arrays.train_labels, tf.int64)

    def look_up(indices: _Tensor) -> tuple[_Tensor, _Tensor, _Tensor]:
        return *source.look_up(images, labels, indices), indices

    def dataset_of(epoch: _Tensor) -> tf.data.Dataset:
        shuffled = order.of_epoch(epoch)

        def indices_of(part: _Tensor) -> _Tensor:
            first = part // here * batch + own.start + part % here * size
            return tf.ensure_shape(order.window(shuffled, first, size), (size,))

        parts = tf.data.Dataset.range(variant.steps_per_epoch * here).map(indices_of)
        return parts.map(look_up, num_parallel_calls=tf.data.AUTOTUNE)

    return HostFeed(variant, source, order, dataset_of, replicas)


@dataclass(frozen=True)
class FileOrder:
    """The files in a shuffled order, their examples through a buffer."""

    buffer: int
    """Examples that it holds."""

    @property
    def method(self) -> str:
        """With the size of the buffer, since that says how well it shuffles."""
        return f"files, buffer of {self.buffer}"


def from_files(variant: Variant, arrays: Arrays, seed: int, replicas: Replicas) -> HostFeed:
    """The same examples from files, which are written where they are not there yet.

    Of ``arrays`` nothing is held. OSError where the disk has no room.
    """
    files = shard_files(arrays, variant.examples)
    shape, image_bytes = arrays.shape, arrays.train_images[0].nbytes
    source = ExampleReader(variant, len(arrays.train_images))
    buffer = max(variant.global_batch_size, min(BUFFER_EXAMPLES, BUFFER_BYTES // image_bytes))
    own, size = _own_slice(variant, replicas), variant.per_replica_batch_size

    def look_up(strings: _Tensor) -> tuple[_Tensor, _Tensor, _Tensor]:
        indices, images, labels = decode_records(strings, shape)
        return images, labels, indices

    def parts_of(strings: _Tensor) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensor_slices(tf.reshape(strings[own], (-1, size)))

    def dataset_of(epoch: _Tensor) -> tf.data.Dataset:
        # Of this function's graph alone: a global seed, which whoever builds a network of their
        # own sets, would change the order.
        tf.compat.v1.set_random_seed(_GRAPH_SEED)
        key = tf.stack([tf.constant(seed, tf.int64), epoch])
        shuffled = tf.random.experimental.stateless_shuffle(tf.constant(files), seed=key)
        number = tf.random.stateless_uniform((), key, maxval=2**31 - 1, dtype=tf.int64)
        examples = tf.data.Dataset.from_tensor_slices(shuffled).interleave(
            tf.data.TFRecordDataset,
            cycle_length=min(FILES_AT_ONCE, len(files)),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        mixed = examples.shuffle(buffer, seed=number, reshuffle_each_iteration=False)
        batches = mixed.batch(variant.global_batch_size, drop_remainder=True)
        parts = batches.take(variant.steps_per_epoch).flat_map(parts_of)
        return parts.map(look_up, num_parallel_calls=tf.data.AUTOTUNE)

    return HostFeed(variant, source, FileOrder(buffer), dataset_of, replicas)


def _own_slice(variant: Variant, replicas: Replicas) -> slice:
    """Of a global batch, what this worker's replicas take."""
    size = variant.per_replica_batch_size * variant.replicas
    return slice(replicas.worker * size, (replicas.worker + 1) * size)
