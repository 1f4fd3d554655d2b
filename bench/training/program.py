"""The compiled epoch: one training loop for every variant, timed from sync to sync.

Usage:
    program = Program(variant, model, update, feed)
    cold_start_s = program.cold_start()        # compiles every shape, changes no state
    epoch = program.run_epoch(3)

An epoch is a row of windows, each a loop over a constant number of steps in one call: XLA
compiles anew for each number of steps, so there are two of them at most. ``jit`` says what
XLA compiles: nothing, each step, or the whole window.
"""

import functools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from bench.spec.variant import Variant
from bench.training.optimizer import Update
from bench.training.pipeline import Feed, Window
from bench.training.precision import PRECISIONS
from bench.training.state import restore, snapshot

_Tensor = Any


class CannotCompile(Exception):
    """TensorFlow refused the program; the message is its reason."""


@dataclass(frozen=True)
class EpochResult:
    """What one epoch gave. Sums are over its steps and examples."""

    epoch_s: float
    window_s: tuple[float, ...]
    steps: int
    examples: int
    loss: float
    accuracy: float
    clipped_steps: int
    skipped_steps: int

    @property
    def diverged(self) -> bool:
        """Whether the training loss stopped being a number."""
        return not math.isfinite(self.loss)


class Program:
    """A model's training, compiled."""

    def __init__(
        self,
        variant: Variant,
        model: keras.Model,
        update: Update,
        feed: Feed,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._variant, self._model, self._update, self._feed = variant, model, update, feed
        self._clock = clock
        self._dtype = PRECISIONS[variant.precision].dtype
        compiled = functools.partial(tf.function, autograph=False, jit_compile=True)
        self._step = compiled(self._train_on) if variant.jit == "step" else self._train_on
        self._run = tf.function(self._window, autograph=False, jit_compile=variant.jit == "epoch")
        self._traces_after_cold_start: int | None = None

    def plain_step(self, shape: Sequence[int]) -> Any:
        """One step on a given batch as a concrete function, for counting its operations."""
        size = self._variant.global_batch_size
        images = tf.TensorSpec((size, *shape), self._dtype)
        labels = tf.TensorSpec((size,), tf.int64)
        return tf.function(self._train_on, autograph=False).get_concrete_function(images, labels)

    def cold_start(self) -> float:
        """Seconds for the first call of each window shape; weights and state are put back.

        Raises CannotCompile where TensorFlow cannot run such a program.
        """
        state = [*self._model.variables, *self._update.variables]
        before = snapshot(state)
        started = self._clock()
        try:
            for window in self._distinct_windows():
                self._totals(window)
        except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError) as error:
            raise CannotCompile(error.message) from error
        except NotImplementedError as error:
            raise CannotCompile(str(error)) from error
        seconds = self._clock() - started
        restore(state, before)
        self._feed.rewind()
        self._traces_after_cold_start = self._run.experimental_get_tracing_count()
        return seconds

    def run_epoch(self, epoch: int) -> EpochResult:
        """Train one epoch. Shuffling is inside its time; nothing else but the steps is."""
        edges, totals, steps = [], [], 0
        _synchronize()
        edges.append(self._clock())
        for window in self._feed.windows(epoch):
            totals.append(self._totals(window))
            steps += window[0]
            edges.append(self._clock())
        self._assert_not_retraced()
        loss, correct, clipped, skipped = (sum(column) for column in zip(*totals, strict=True))
        examples = steps * self._variant.global_batch_size
        return EpochResult(
            epoch_s=edges[-1] - edges[0],
            window_s=tuple(b - a for a, b in zip(edges, edges[1:], strict=False)),
            steps=steps,
            examples=examples,
            loss=loss / steps,
            accuracy=correct / examples,
            clipped_steps=int(clipped),
            skipped_steps=int(skipped),
        )

    def _distinct_windows(self) -> list[Window]:
        windows: dict[int, Window] = {}
        for window in self._feed.windows(0):
            windows.setdefault(window[0], window)
        return list(windows.values())

    def _totals(self, window: Window) -> tuple[float, ...]:
        """Run a window and wait for it: loss, correct, clipped and skipped, summed over it."""
        steps, inputs = window
        totals = self._run(steps, *inputs)
        # Reading a value back waits for the work that made it; the weights may come later.
        values = tuple(float(total) for total in totals)
        _synchronize()
        return values

    def _assert_not_retraced(self) -> None:
        traces = self._run.experimental_get_tracing_count()
        if self._traces_after_cold_start not in (None, traces):
            raise RuntimeError(
                f"the program was traced again inside an epoch ({traces} times in all): "
                "its time is not a training time"
            )

    def _window(self, steps: int, *inputs: Any) -> tuple[_Tensor, ...]:
        def body(step: _Tensor, *sums: _Tensor) -> tuple[_Tensor, ...]:
            of_step = self._step(*self._feed.batch(step, *inputs))
            return step + 1, *(total + one for total, one in zip(sums, of_step, strict=True))

        zero = tf.constant(0, tf.int64)
        sums = (tf.constant(0, self._dtype), zero, zero, zero)
        return tuple(
            tf.while_loop(
                lambda step, *_: step < steps,
                body,
                (tf.constant(0), *sums),
                maximum_iterations=steps,
                parallel_iterations=1,
            )[1:]
        )

    def _train_on(self, images: _Tensor, labels: _Tensor) -> tuple[_Tensor, ...]:
        """One step: its loss (mean over the global batch), correct, clipped and skipped."""
        with tf.GradientTape() as tape:
            logits = self._model(images, training=True)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            loss = tf.reduce_sum(losses) / self._variant.global_batch_size
            scaled = self._update.scaled(loss)
        gradients = tape.gradient(scaled, self._model.trainable_variables)
        clipped, skipped = self._update.apply(gradients)
        return loss, count_correct(logits, labels), clipped, skipped


def count_correct(logits: _Tensor, labels: _Tensor) -> _Tensor:
    """How many of ``labels`` (n,) are where their row of ``logits`` (n, classes) is largest."""
    predicted = tf.argmax(logits, axis=-1, output_type=tf.int64)
    return tf.reduce_sum(tf.cast(tf.equal(predicted, labels), tf.int64))


def _synchronize() -> None:
    tf.test.experimental.sync_devices()
