"""How examples reach the training step: held on the device, or streamed from the host.

Usage:
    feed = make_feed(variant, arrays, seed, replicas)
    for steps, inputs in feed.windows(epoch):
        ...                                        # in a compiled loop over i < steps:
        taken = feed.take(i, *inputs)              #   once for all replicas
        images, labels = feed.batch(rank, *taken)  #   on each replica, its part

All feeds give every example once an epoch; ``device`` and ``tfdata`` in the same order. Images
are stored as bytes and become numbers in [0, 1] where they are used.
"""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import tensorflow as tf

from bench.datasets.arrays import Arrays
from bench.spec.variant import Variant
from bench.training.order import Order
from bench.training.source import Source, part_of
from bench.training.strategy import Replicas
from bench.training.streamed import from_files, from_memory
from bench.training.windows import Window, split

_Tensor = Any


class Ordered(Protocol):
    """In which order examples come."""

    @property
    def method(self) -> str:
        """How that is made up."""


class Feed(Protocol):
    """A source of training batches."""

    augments: bool
    """Whether the augmentation's computation is in the program."""
    waits: bool
    """Whether a step may have to wait for its batch, which is prepared beside it."""

    @property
    def order(self) -> Ordered:
        """In which order its examples come."""

    def windows(self, epoch: int) -> Iterator[Window]:
        """The windows of an epoch, one after another, as arguments for the compiled loop."""

    def take(self, step: _Tensor, *inputs: Any) -> tuple[Any, ...]:
        """What a step's batch is made from, inside the loop, over all replicas."""

    def batch(self, rank: Any, *taken: Any) -> tuple[_Tensor, _Tensor]:
        """A replica's images (n, H, W, C) in floating point and labels (n,), inside the loop."""


def make_feed(variant: Variant, arrays: Arrays, seed: int, replicas: Replicas) -> Feed:
    """The feed that ``variant.pipeline`` names; bring the data to where it reads it."""
    kinds: dict[str, Callable[..., Feed]] = {
        "device": DeviceFeed,
        "tfdata": from_memory,
        "tfrecord": from_files,
    }
    return kinds[variant.pipeline](variant, arrays, seed, replicas)


class DeviceFeed:
    """All images on the device; a window takes the indices of its examples."""

    waits = False

    def __init__(self, variant: Variant, arrays: Arrays, seed: int, replicas: Replicas) -> None:
        self.order = Order(variant.examples, seed)
        self._source = Source(variant, len(arrays.train_images))
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
