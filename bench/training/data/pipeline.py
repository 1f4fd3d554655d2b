"""Feed examples to the training step, from the device or streamed from the host.

Usage:
    feed = make_feed(variant, arrays, seed, replicas)
    for steps, inputs in feed.windows(epoch):
        ...                                        # in a compiled loop over i < steps:
        raw = feed.fetch(i, *inputs)               #   once for all replicas
        images, labels = feed.batch(*raw)          #   on each replica, its part

Every feed returns each example once an epoch; ``device`` and ``tfdata`` use the same order. Images
are stored and copied as bytes, and become numbers in [0, 1] on the device that trains.
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
from bench.training.data.windows import Window, split_windows, window_steps
from bench.training.replicas import Replicas

_Tensor = Any


class ExampleOrder(Protocol):
    """The order of examples in an epoch."""

    @property
    def method(self) -> str:
        """How the order is computed."""


class Feed(Protocol):
    """A source of training batches."""

    augments: bool
    """Whether the program contains the augmentation's computation."""
    waits: bool
    """Whether the loop may have to wait for its next batch, which the host prepares."""

    @property
    def order(self) -> ExampleOrder:
        """The order of its examples."""

    def windows(self, epoch: int) -> Iterator[Window]:
        """Yield the windows of an epoch in turn, as arguments for the compiled loop."""

    def fetch(self, step: _Tensor, *inputs: Any) -> tuple[Any, ...]:
        """Inside the loop, over all replicas: return the raw material of a step's batch."""

    def batch(self, *raw: Any) -> tuple[_Tensor, _Tensor]:
        """On a replica: return its images (n, H, W, C) in floating point, and labels (n,)."""


def make_feed(variant: Variant, arrays: Arrays, seed: int, replicas: Replicas) -> Feed:
    """Return the feed that ``variant.pipeline`` names, with its data in place."""
    kinds: dict[str, Callable[..., Feed]] = {
        "device": DeviceFeed,
        "tfdata": from_memory,
        "tfrecord": from_files,
    }
    return kinds[variant.pipeline](variant, arrays, seed, replicas)


def epoch_settings(variant: Variant, feed: Feed) -> dict[str, Any]:
    """Return the order of an epoch's examples, its steps, and the examples it omits."""
    steps = variant.steps_per_epoch
    return {
        "order": feed.order.method,
        "augmented": feed.augments,
        "steps_per_epoch": steps,
        "window_steps": window_steps(steps),
        "whole_epoch_steps": variant.whole_epoch_steps,
        "examples_left_out": variant.examples - steps * variant.global_batch_size,
    }


class DeviceFeed:
    """Keep all images on each replica's device; an epoch only needs the indices of its examples."""

    waits = False

    def __init__(self, variant: Variant, arrays: Arrays, seed: int, replicas: Replicas) -> None:
        self.order = Shuffle(variant.examples, seed)
        self._reader = ExampleReader(variant, len(arrays.train_images))
        self.augments = self._reader.augments
        self._variant, self._replicas = variant, replicas
        self._is_compiled = variant.jit == "epoch"
        # XLA would copy an int32, which stays on the host, to the GPU for each window. A slice
        # without XLA needs it there.
        dtype = tf.int64 if self._is_compiled else tf.int32
        firsts = [first for first, _ in split_windows(variant.steps_per_epoch)]
        self._rows = {first: tf.constant(first, dtype) for first in firsts}
        """The row of the indices at which each window starts."""
        # int64: TensorFlow keeps int32 tensors on the host even where there is a GPU.
        labels = arrays.train_labels.astype(np.int64)
        self._images = replicas.on_each_device(lambda _: _device_copy(arrays.train_images))
        self._labels = replicas.on_each_device(lambda _: _device_copy(labels))

    def windows(self, epoch: int) -> Iterator[Window]:
        """Yield each window's indices, shuffled for this epoch, and the row where it starts.

        A permutation's indices are copied to the device once an epoch. Those of a bijection are
        computed there for each window.
        """
        epoch_order, steps = self.order.epoch_order(epoch), self._variant.steps_per_epoch
        if self.order.method == "permutation":
            indices = self._indices(epoch_order, 0, steps)
            for first, count in split_windows(steps):
                yield count, (indices, self._rows[first])
        else:
            for first, count in split_windows(steps):
                yield count, (self._indices(epoch_order, first, count), self._rows[0])

    def fetch(self, step: _Tensor, *inputs: Any) -> tuple[Any, ...]:
        """Return all images and labels, and the step's indices on each replica."""
        indices, first = inputs
        # XLA takes the start of a slice for a constant of its program, and would compile again for
        # each window of an epoch. Without XLA, tf.gather would copy the row's number to a GPU.
        rows = self._replicas.run(
            lambda each: (
                tf.gather(each, first + tf.cast(step, first.dtype))
                if self._is_compiled
                else each[first + step]
            ),
            (indices,),
        )
        return self._images, self._labels, rows

    def batch(self, *raw: Any) -> tuple[_Tensor, _Tensor]:
        """Look up the replica's consecutive part of the global batch."""
        all_images, all_labels, indices = raw
        images, labels = self._reader.look_up(all_images, all_labels, indices)
        return self._reader.prepare(images, indices), labels

    def _indices(self, epoch_order: _Tensor, first: int, steps: int) -> Any:
        """Return each replica's indices on its device: int64 (steps, part)."""
        variant = self._variant
        ranks, size = variant.total_replicas, variant.per_replica_batch_size
        return self._replicas.on_each_device(
            lambda rank: self.order.part(epoch_order, first, steps, rank, ranks, size)
        )


def _device_copy(values: np.ndarray) -> tf.Variable:
    """Copy ``values`` to the device, as a variable: a GPU can gather bytes only from one."""
    return tf.Variable(values, trainable=False)
