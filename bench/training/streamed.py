"""Examples streamed from the host by tf.data: out of memory, or out of files larger than it.

Usage:
    feed = from_memory(variant, arrays, seed, replicas)
    feed = from_files(variant, arrays, seed, replicas)

From memory they come in the order of the ``device`` pipeline. Files are read in a shuffled order,
several at once, through a shuffled buffer: another order, which is the same on every worker too.
Each worker reads every batch and prepares what its own replicas take.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from bench.datasets.arrays import Arrays
from bench.spec.variant import Variant
from bench.training.order import Order
from bench.training.shards import decoded, shard_files
from bench.training.source import Source, part_of
from bench.training.strategy import Replicas
from bench.training.windows import Window, split

_Tensor = Any
FILES_AT_ONCE = 16
BUFFER_EXAMPLES = 16_384
BUFFER_BYTES = 256 * 2**20
"""Most examples, and most memory, that the shuffled buffer holds."""


class HostFeed:
    """An iterator over batches, each with this worker's part of it.

    Each epoch has an iterator of its own, made inside its time and ending with it: no
    part of an epoch is prepared while the one before is trained or validated.
    """

    waits = True

    def __init__(
        self,
        variant: Variant,
        source: Source,
        order: Any,
        dataset_of: Callable[[_Tensor], tf.data.Dataset],
    ) -> None:
        self.order, self.augments = order, source.augments
        self._steps, self._part = variant.steps_per_epoch, variant.per_replica_batch_size
        self._replicas_here = variant.replicas
        # Traced once: made anew for each epoch, its functions would be traced in each.
        self._epoch_dataset = tf.function(dataset_of, autograph=False)

    def windows(self, epoch: int) -> Iterator[Window]:
        """Each window takes its batches from the epoch's iterator."""
        with tf.device("CPU:0"):
            iterator = iter(self._epoch_dataset(tf.constant(epoch, tf.int64)))
        for _, steps in split(self._steps):
            yield steps, (iterator,)

    def take(self, step: _Tensor, *inputs: Any) -> tuple[Any, ...]:  # noqa: ARG002
        """The next batch of all replicas of this worker."""
        images, labels = next(inputs[0])
        return images, labels

    def batch(self, rank: Any, *taken: Any) -> tuple[_Tensor, _Tensor]:
        """Each replica takes its own consecutive part of it."""
        images, labels = taken
        rank_here = rank % self._replicas_here
        return part_of(images, rank_here, self._part), part_of(labels, rank_here, self._part)


def from_memory(variant: Variant, arrays: Arrays, seed: int, replicas: Replicas) -> HostFeed:
    """The examples of ``arrays``, held by the host."""
    order, source = Order(variant.examples, seed), Source(variant, len(arrays.train_images))
    own_part, size = _own_part(variant, replicas), variant.global_batch_size
    with tf.device("CPU:0"):
        images = tf.constant(arrays.train_images)
        labels = tf.constant(arrays.train_labels, tf.int64)

    def look_up(indices: _Tensor) -> tuple[_Tensor, _Tensor]:
        return source.look_up(images, labels, own_part(indices))

    def dataset_of(epoch: _Tensor) -> tf.data.Dataset:
        shuffled = order.of_epoch(epoch)
        steps = tf.data.Dataset.range(variant.steps_per_epoch)
        batches = steps.map(lambda step: order.window(shuffled, step * size, size))
        return _prepared(batches, look_up)

    return HostFeed(variant, source, order, dataset_of)


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
    source, own_part = Source(variant, len(arrays.train_images)), _own_part(variant, replicas)
    buffer = max(variant.global_batch_size, min(BUFFER_EXAMPLES, BUFFER_BYTES // image_bytes))

    def look_up(strings: _Tensor) -> tuple[_Tensor, _Tensor]:
        indices, images, labels = decoded(own_part(strings), shape)
        return source.prepared(images, indices), labels

    def dataset_of(epoch: _Tensor) -> tf.data.Dataset:
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
        return _prepared(batches.take(variant.steps_per_epoch), look_up)

    return HostFeed(variant, source, FileOrder(buffer), dataset_of)


def _own_part(variant: Variant, replicas: Replicas) -> Callable[[_Tensor], _Tensor]:
    """Of what stands for a global batch, what this worker's replicas take."""
    size = variant.per_replica_batch_size * variant.replicas

    def own_part(batch: _Tensor) -> _Tensor:
        batch = tf.ensure_shape(batch, (variant.global_batch_size,))
        return part_of(batch, replicas.worker, size)

    return own_part


def _prepared(batches: tf.data.Dataset, look_up: Callable[..., Any]) -> tf.data.Dataset:
    examples = batches.map(look_up, num_parallel_calls=tf.data.AUTOTUNE)
    return examples.prefetch(tf.data.AUTOTUNE)
