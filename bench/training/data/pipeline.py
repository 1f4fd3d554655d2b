"""How examples reach the training step: held on the device, or streamed from the host.

Usage:
    feed = make_feed(variant, arrays, seed, replicas)
    for steps, inputs in feed.windows(epoch):
        ...                                        # in a compiled loop over i < steps:
        taken = feed.take(i, *inputs)              #   once for all replicas
        images, labels = feed.batch(*taken)        #   on each replica, its part

All feeds give every example once an epoch; ``device`` and ``tfdata`` in the same order. Images
are stored and sent as bytes, and become numbers in [0, 1] on the device that trains.
"""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from bench.datasets.arrays import Arrays
from bench.spec.variant import Variant
from bench.training.data.examples import ExampleReader
from bench.training.data.host_pipeline import from_files, from_memory
from bench.training.data.shuffle import Shuffle
from bench.training.loop.windows import Window, split_windows
from bench.training.strategy import Replicas

_Tensor = Any


class ExampleOrder(Protocol):
    """In which order examples come."""

    @property
    def method(self) -> str:
        """How that is made up."""


class Feed(Protocol):
    """A source of training batches."""

    augments: bool
    """Whether the augmentation's computation is in the program."""
    waits: bool
    """Whether the loop may have to wait for its next batch, which is prepared beside it."""

    @property
    def order(self) -> ExampleOrder:
        """In which order its examples come."""

    def windows(self, epoch: int) -> Iterator[Window]:
        """The windows of an epoch, one after another, as arguments for the compiled loop."""

    def take(self, step: _Tensor, *inputs: Any) -> tuple[Any, ...]:
        """What a step's batch is made from, inside the loop, over all replicas."""

    def batch(self, *taken: Any) -> tuple[_Tensor, _Tensor]:
        """On a replica: its images (n, H, W, C) in floating point and labels (n,)."""


def make_feed(variant: Variant, arrays: Arrays, seed: int, replicas: Replicas) -> Feed:
    """The feed that ``variant.pipeline`` names; bring the data to where it reads it."""
    kinds: dict[str, Callable[..., Feed]] = {
        "device": DeviceFeed,
        "tfdata": from_memory,
        "tfrecord": from_files,
    }
    return kinds[variant.pipeline](variant, arrays, seed, replicas)


class DeviceFeed:
    """All images on each replica's device; an epoch brings the indices of its examples."""

    waits = False

    def __init__(self, variant: Variant, arrays: Arrays, seed: int, replicas: Replicas) -> None:
        self.order = Shuffle(variant.examples, seed)
        self._source = ExampleReader(variant, len(arrays.train_images))
        self.augments = self._source.augments
        self._variant, self._replicas = variant, replicas
        # int64: TensorFlow keeps int32 tensors on the host even where there is a GPU.
        labels = arrays.train_labels.astype(np.int64)
        self._images = replicas.on_each_device(lambda _: _held(arrays.train_images))
        self._labels = replicas.on_each_device(lambda _: _held(labels))

    def windows(self, epoch: int) -> Iterator[Window]:
        """Each window's indices and its first row among them, shuffled for this epoch.

        A permutation's indices are copied to the device once an epoch, those of a bijection
        are computed there, window by window.
        """
        shuffled, steps = self.order.of_epoch(epoch), self._variant.steps_per_epoch
        if self.order.method == "permutation":
            indices = self._indices(shuffled, 0, steps)
            for first, count in split_windows(steps):
                yield count, (indices, tf.constant(first))
        else:
            for first, count in split_windows(steps):
                yield count, (self._indices(shuffled, first, count), tf.constant(0))

    def take(self, step: _Tensor, *inputs: Any) -> tuple[Any, ...]:
        """The images and labels, and on each replica the step's indices."""
        indices, first = inputs
        rows = self._replicas.run(lambda of_replica: of_replica[first + step], (indices,))
        return self._images, self._labels, rows

    def batch(self, *taken: Any) -> tuple[_Tensor, _Tensor]:
        """Each replica looks up its own consecutive part of the global batch."""
        images, labels, indices = taken
        found, classes = self._source.look_up(images, labels, indices)
        return self._source.prepared(found, indices), classes

    def _indices(self, shuffled: _Tensor, first: int, steps: int) -> Any:
        """Each replica's, int64 (steps, part), on its device."""
        variant = self._variant
        ranks, size = variant.total_replicas, variant.per_replica_batch_size
        return self._replicas.on_each_device(
            lambda rank: self.order.part(shuffled, first, steps, rank, ranks, size)
        )


def _held(values: np.ndarray) -> tf.Variable:
    """``values`` on the device: as a variable, since no other gather of bytes runs on a GPU."""
    return tf.Variable(values, trainable=False)
