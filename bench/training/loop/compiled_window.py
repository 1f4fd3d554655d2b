"""Compile a window: a loop over a constant number of steps, in one call.

Usage:
    window = CompiledWindow(variant, model, step, feed, replicas, Heartbeat())
    window.synchronize_workers()                  # so that a time can start
    for arguments in feed.windows(epoch):
        sums = window.run(arguments, sums)        # dispatches it and waits for its end
    read_sums(sums).loss

``jit`` says what XLA compiles: nothing, each step, or the entire window. Sums stay on the device
from window to window and are read once, after the epoch's time.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from bench.spec.variant import Variant
from bench.training.data.pipeline import Feed
from bench.training.data.windows import Window
from bench.training.loop.heartbeat import Heartbeat
from bench.training.loop.training_step import TrainingStep
from bench.training.model.precision import PRECISIONS
from bench.training.replicas import Replicas

_Tensor = Any


class StepSums(NamedTuple):
    """Sums over steps."""

    loss: float
    correct: float
    clipped: float
    skipped: float
    waited_s: float


class CompiledWindow:
    """The compiled loop over the steps of a window."""

    def __init__(
        self,
        variant: Variant,
        model: keras.Model,
        step: TrainingStep,
        feed: Feed,
        replicas: Replicas,
        heartbeat: Heartbeat,
    ) -> None:
        self._model, self._step, self._feed = model, step, feed
        self._replicas, self._heartbeat = replicas, heartbeat
        self._run = tf.function(self._window, autograph=False, jit_compile=variant.jit == "epoch")
        self._loss_dtype = PRECISIONS[variant.precision].dtype
        # Deterministic TensorFlow refuses a clock in the graph. If XLA compiles the loop, it must
        # be the feed that it refuses, not the clock.
        self.times_waits = feed.waits and variant.jit != "epoch" and not variant.deterministic
        """Whether the loop measures how long it waits for batches."""

    @property
    def trace_count(self) -> int:
        """How many times TensorFlow has traced the loop: once for each number of steps."""
        return int(self._run.experimental_get_tracing_count())

    def run(self, window: Window, sums: _Tensor) -> _Tensor:
        """Run a window to its end, and return ``sums`` plus its own, still on the device."""
        steps, inputs = window
        sums = self._run(steps, sums, *inputs)
        self._synchronize()
        self._heartbeat.count += 1
        return sums

    def synchronize_workers(self) -> None:
        """Wait until the devices are idle and all workers are here, so that a time can start."""
        self._synchronize()
        # Otherwise the first all-reduce would wait for a worker that validates for longer. That
        # would add to an epoch's time with communication, but not without.
        self._heartbeat.count += 1
        self._replicas.barrier()

    def _synchronize(self) -> None:
        self._replicas.synchronize(self._model.trainable_variables[-1])

    def _window(self, steps: int, previous_sums: _Tensor, *inputs: Any) -> _Tensor:
        """Run ``steps`` steps, and return ``previous_sums`` plus their ``StepSums``, float64."""

        def body(step: _Tensor, *sums: _Tensor) -> tuple[_Tensor, ...]:
            raw, waited = self._fetch(step, inputs)
            values = (*self._step(*raw), waited)
            return step + 1, *(total + value for total, value in zip(sums, values, strict=True))

        zero, loss = tf.constant(0, tf.int64), tf.constant(0, self._loss_dtype)
        start = (tf.constant(0), loss, zero, zero, zero, tf.constant(0, tf.float64))
        # No maximum_iterations: TensorFlow would test it on the GPU, and wait at each step.
        _, *sums = tf.while_loop(lambda step, *_: step < steps, body, start, parallel_iterations=1)
        return previous_sums + tf.stack([tf.cast(total, tf.float64) for total in sums])

    def _fetch(self, step: _Tensor, inputs: Sequence[Any]) -> tuple[tuple[Any, ...], _Tensor]:
        """Fetch a step's raw batch, and return it with the seconds that the loop waited."""
        if not self.times_waits:
            return self._feed.fetch(step, *inputs), tf.constant(0, tf.float64)
        started = tf.timestamp()
        with tf.control_dependencies([started]):
            raw = self._feed.fetch(step, *inputs)
        tensors = tf.nest.flatten(raw, expand_composites=True)
        with tf.control_dependencies(tensors), tf.device("CPU:0"):
            return raw, tf.timestamp() - started


def no_sums() -> _Tensor:
    """Return the sums before the first window, on the device."""
    return tf.zeros(len(StepSums._fields), tf.float64)


def read_sums(sums: _Tensor) -> StepSums:
    """Read ``sums`` from the device."""
    return StepSums(*map(float, sums.numpy()))
