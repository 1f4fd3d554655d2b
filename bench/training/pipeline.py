"""How examples reach the training step: held on the device, or through tf.data.

Usage:
    feed = make_feed(variant, arrays, seed, replicas)
    for steps, inputs in feed.windows(epoch):
        ...                                        # in a compiled loop over i < steps:
        taken = feed.take(i, *inputs)              #   once for all replicas
        images, labels = feed.batch(rank, *taken)  #   on each replica, its part

Both feeds give the same examples in the same order. Images are stored as bytes and become
numbers in [0, 1] where they are used.
"""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import tensorflow as tf

from bench.datasets.arrays import Arrays
from bench.spec.variant import Variant
from bench.training.augment import augmented
from bench.training.order import Order
from bench.training.precision import PRECISIONS
from bench.training.strategy import Replicas

_Tensor = Any
Window = tuple[int, tuple[Any, ...]]
"""A number of steps, and what the compiled loop over them takes as arguments."""

WINDOWS_PER_EPOCH = 8
WINDOW_STEPS = (64, 512)
"""Fewest and most steps of a window."""


def window_steps(steps: int) -> int:
    """Steps of a compiled window: an eighth of an epoch within bounds, all where it is short.

    It follows from the number of steps alone, so arms of one comparison have equal windows.
    """
    low, high = WINDOW_STEPS
    return min(steps, max(low, min(high, -(-steps // WINDOWS_PER_EPOCH))))


class Feed(Protocol):
    """A source of training batches."""

    order: Order
    augments: bool
    """Whether the augmentation's computation is in the program."""

    def windows(self, epoch: int) -> Iterator[Window]:
        """The windows of an epoch, one after another, as arguments for the compiled loop."""

    def take(self, step: _Tensor, *inputs: Any) -> tuple[Any, ...]:
        """What a step's batch is made from, inside the loop, over all replicas."""

    def batch(self, rank: Any, *taken: Any) -> tuple[_Tensor, _Tensor]:
        """A replica's images (n, H, W, C) in floating point and labels (n,), inside the loop."""


def make_feed(variant: Variant, arrays: Arrays, seed: int, replicas: Replicas) -> Feed:
    """The feed that ``variant.pipeline`` names; bring the data to where it reads it."""
    kinds: dict[str, Callable[..., Feed]] = {"device": DeviceFeed, "tfdata": TfDataFeed}
    return kinds[variant.pipeline](variant, arrays, seed, replicas)


class _Source:
    """Examples by index, from the arrays and the augmentation of a variant."""

    def __init__(self, variant: Variant, arrays: Arrays) -> None:
        self._originals = min(variant.examples, len(arrays.train_images))
        self._dtype = PRECISIONS[variant.precision].dtype
        has_copies = variant.examples > self._originals
        self.augments = variant.augment == "always" or (variant.augment == "auto" and has_copies)
        self._has_copies = has_copies

    def look_up(
        self, images: _Tensor, labels: _Tensor, indices: _Tensor
    ) -> tuple[_Tensor, _Tensor]:
        rows = indices % self._originals if self._has_copies else indices
        batch = to_unit_range(tf.gather(images, rows), self._dtype)
        if self.augments:
            batch = augmented(batch, indices, self._originals)
        return batch, tf.gather(labels, rows)


class DeviceFeed:
    """All images on the device; a window takes the indices of its examples."""

    def __init__(self, variant: Variant, arrays: Arrays, seed: int, replicas: Replicas) -> None:
        self.order = Order(variant.examples, seed)
        self._source = _Source(variant, arrays)
        self.augments = self._source.augments
        self._batch_size = variant.global_batch_size
        self._steps = variant.steps_per_epoch
        self._images = replicas.on_each_device(tf.constant(arrays.train_images))
        # int64: TensorFlow keeps int32 tensors on the host even where there is a GPU.
        self._labels = replicas.on_each_device(tf.constant(arrays.train_labels, tf.int64))
        self._part = variant.per_replica_batch_size

    def windows(self, epoch: int) -> Iterator[Window]:
        """Each window's indices, shuffled for this epoch."""
        shuffled = self.order.of_epoch(epoch)
        for first, steps in split(self._steps):
            count = steps * self._batch_size
            indices = self.order.window(shuffled, first * self._batch_size, count)
            by_step = tf.reshape(indices, (steps, self._batch_size))
            yield steps, (self._images, self._labels, by_step)

    def take(self, step: _Tensor, *inputs: Any) -> tuple[Any, ...]:
        """The images and labels, and the step's indices."""
        images, labels, indices = inputs
        return images, labels, indices[step]

    def batch(self, rank: Any, *taken: Any) -> tuple[_Tensor, _Tensor]:
        """Each replica looks up its own consecutive part of the global batch."""
        images, labels, indices = taken
        return self._source.look_up(images, labels, part_of(indices, rank, self._part))


class TfDataFeed:
    """A tf.data pipeline on the host: parallel look-up and augmentation, prefetched.

    Each epoch has an iterator of its own, made inside its time and ending with it: no
    part of an epoch is prepared while the one before is trained or validated.
    """

    def __init__(self, variant: Variant, arrays: Arrays, seed: int, replicas: Replicas) -> None:
        self.order = Order(variant.examples, seed)
        self._source = _Source(variant, arrays)
        self.augments = self._source.augments
        self._batch_size = variant.global_batch_size
        self._steps = variant.steps_per_epoch
        self._part = variant.per_replica_batch_size
        self._worker, self._replicas_here = replicas.worker, variant.replicas
        with tf.device("CPU:0"):
            self._images = tf.constant(arrays.train_images)
            self._labels = tf.constant(arrays.train_labels, tf.int64)
        # Traced once: made anew for each epoch, its functions would be traced in each.
        self._epoch_dataset = tf.function(self._make_dataset, autograph=False)

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

    def _make_dataset(self, epoch: _Tensor) -> tf.data.Dataset:
        batches = self._batches_of_epoch(epoch)
        examples = batches.map(self._look_up, num_parallel_calls=tf.data.AUTOTUNE)
        return examples.prefetch(tf.data.AUTOTUNE)

    def _batches_of_epoch(self, epoch: _Tensor) -> tf.data.Dataset:
        shuffled = self.order.of_epoch(epoch)
        size = self._batch_size
        positions = tf.data.Dataset.range(self._steps)
        return positions.map(lambda step: self.order.window(shuffled, step * size, size))

    def _look_up(self, indices: _Tensor) -> tuple[_Tensor, _Tensor]:
        indices = tf.ensure_shape(indices, (self._batch_size,))
        # A worker prepares what its own replicas take, not the whole global batch.
        indices = part_of(indices, self._worker, self._part * self._replicas_here)
        return self._source.look_up(self._images, self._labels, indices)


def split(steps: int) -> Iterator[tuple[int, int]]:
    """The windows of ``steps`` steps as (first step, number of steps); the last may be short."""
    size = window_steps(steps)
    for first in range(0, steps, size):
        yield first, min(size, steps - first)


def part_of(batch: _Tensor, rank: Any, size: int) -> _Tensor:
    """Replica ``rank``'s ``size`` consecutive entries of a global batch."""
    if batch.shape[0] == size:
        return batch
    return tf.reshape(batch, (-1, size, *batch.shape[1:]))[rank]


def to_unit_range(images: _Tensor, dtype: str) -> _Tensor:
    """Byte images as numbers in [0, 1]."""
    return tf.cast(images, dtype) / 255.0
