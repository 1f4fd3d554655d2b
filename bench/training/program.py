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
import itertools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from bench.spec.variant import Variant
from bench.training.optimizer import Update
from bench.training.outcome import CannotRun
from bench.training.pipeline import Feed
from bench.training.precision import PRECISIONS
from bench.training.pulse import Pulse
from bench.training.state import restore, snapshot
from bench.training.strategy import Replicas
from bench.training.windows import Window

_Tensor = Any

_REFUSALS = (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError, RuntimeError)
"""How TensorFlow and Keras say that they cannot do something; a mistake may be told so too."""


@dataclass(frozen=True)
class EpochResult:
    """What one epoch gave. Sums are over its steps and examples.

    ``loss`` is the mean over the steps that were taken, ``accuracy`` that over their examples:
    a step that loss scaling skips belongs to neither, but to the time. NaN where all were.
    """

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
        replicas: Replicas,
        clock: Callable[[], float] = time.perf_counter,
        pulse: Pulse | None = None,
    ) -> None:
        self._pulse = pulse or Pulse()
        self._variant, self._model, self._update, self._feed = variant, model, update, feed
        self._replicas, self._clock = replicas, clock
        self._dtype = PRECISIONS[variant.precision].dtype
        compiled = functools.partial(tf.function, autograph=False, jit_compile=True)
        by_step = variant.jit == "step"
        alone = replicas.count == 1
        # XLA cannot compile variables of several replicas: of their step, only the passes.
        self._step = compiled(self._train_on) if by_step and alone else self._train_on
        self._passes = compiled(self._pure_passes) if by_step and not alone else self._pure_passes
        self._run = tf.function(self._window, autograph=False, jit_compile=variant.jit == "epoch")
        self._traces_after_cold_start: int | None = None

    def passes_of_replica(self, shape: Sequence[int]) -> Any:
        """One replica's passes as a concrete function, for counting their operations."""
        size = self._variant.per_replica_batch_size
        images = tf.TensorSpec((size, *shape), self._dtype)
        labels = tf.TensorSpec((size,), tf.int64)
        trained, kept = (
            [tf.TensorSpec(v.shape, v.dtype) for v in variables]
            for variables in (self._model.trainable_variables, self._model.non_trainable_variables)
        )
        passes = tf.function(self._pure_passes, autograph=False)
        return passes.get_concrete_function(trained, kept, tf.TensorSpec(()), images, labels)

    def cold_start(self) -> float:
        """Seconds for the first call of each window shape; weights and state are put back.

        Raises CannotRun where TensorFlow cannot run a program that it may refuse.
        """
        state = [*self._model.variables, *self._update.variables]
        before = snapshot(state)
        started = self._clock()
        try:
            for window in self._distinct_windows():
                self._totals(window)
        except _REFUSALS as error:
            if not self._variant.may_be_refused:
                raise
            raise CannotRun(getattr(error, "message", str(error))) from error
        seconds = self._clock() - started
        restore(state, before)
        self._traces_after_cold_start = self._run.experimental_get_tracing_count()
        return seconds

    def run_epoch(self, epoch: int) -> EpochResult:
        """Train one epoch. Shuffling is inside its time; nothing else but the steps is."""
        edges, totals, steps = [], [], 0
        self._synchronize()
        edges.append(self._clock())
        for window in self._feed.windows(epoch):
            totals.append(self._totals(window))
            steps += window[0]
            edges.append(self._clock())
        self._assert_not_retraced()
        loss, correct, clipped, skipped = (sum(column) for column in zip(*totals, strict=True))
        size, taken = self._variant.global_batch_size, steps - int(skipped)
        return EpochResult(
            epoch_s=edges[-1] - edges[0],
            window_s=tuple(b - a for a, b in itertools.pairwise(edges)),
            steps=steps,
            examples=steps * size,
            loss=loss / taken if taken else math.nan,
            accuracy=correct / (taken * size) if taken else math.nan,
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
        self._synchronize()
        self._pulse.beats += 1
        return values

    def _synchronize(self) -> None:
        self._replicas.synchronize(self._model.trainable_variables[-1])

    def _assert_not_retraced(self) -> None:
        traces = self._run.experimental_get_tracing_count()
        if self._traces_after_cold_start not in (None, traces):
            raise RuntimeError(
                f"the program was traced again inside an epoch ({traces} times in all): "
                "its time is not a training time"
            )

    def _window(self, steps: int, *inputs: Any) -> tuple[_Tensor, ...]:
        def body(step: _Tensor, *sums: _Tensor) -> tuple[_Tensor, ...]:
            of_step = self._step(*self._feed.take(step, *inputs))
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

    def _train_on(self, *taken: Any) -> tuple[_Tensor, ...]:
        """One step: its loss (mean over the global batch), correct, clipped and skipped.

        Loss and correct are 0 where the step was skipped.
        """
        of_replicas = self._replicas.run(self._differentiate, taken)
        gradients, *agreed = of_replicas
        loss, correct, clipped, finite = self._replicas.first(agreed)
        skipped = self._update.apply(gradients, finite)
        return *self._update.counted((loss, correct), finite), clipped, skipped

    def _differentiate(self, *taken: Any) -> tuple[Any, ...]:
        """On a replica: the step's gradients and metrics, over the whole global batch."""
        images, labels = self._feed.batch(self._replicas.rank(), *taken)
        trained = [tf.convert_to_tensor(v.value) for v in self._model.trainable_variables]
        kept = [tf.convert_to_tensor(v.value) for v in self._model.non_trainable_variables]
        scale = self._update.loss_factor()
        passed, kept_after = self._passes(trained, kept, scale, images, labels)
        *gradients, loss, correct = self._replicas.sum_over_all(passed)
        prepared = self._update.prepare(gradients)
        self._update.keep(self._model.non_trainable_variables, kept, kept_after, prepared.finite)
        correct = tf.cast(correct, tf.int64)
        return prepared.gradients, loss, correct, prepared.clipped, prepared.finite

    def _pure_passes(
        self,
        trained: Sequence[_Tensor],
        kept: Sequence[_Tensor],
        scale: _Tensor,
        images: _Tensor,
        labels: _Tensor,
    ) -> tuple[list[_Tensor], list[_Tensor]]:
        """Of weights as tensors: gradients, loss and correct of a part of the global batch.

        And the new values of what training changes without a gradient, batch norm's averages.
        """
        with tf.GradientTape() as tape:
            tape.watch(trained)
            logits, kept_after = self._model.stateless_call(trained, kept, images, training=True)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            loss = tf.reduce_sum(losses) / self._variant.global_batch_size
            scaled = loss * tf.cast(scale, loss.dtype)
        gradients = tape.gradient(scaled, trained)
        # Sums over replicas are exchanged together, so all have the loss's dtype.
        correct = tf.cast(count_correct(logits, labels), loss.dtype)
        return [*gradients, loss, correct], kept_after


def count_correct(logits: _Tensor, labels: _Tensor) -> _Tensor:
    """How many of ``labels`` (n,) are where their row of ``logits`` (n, classes) is largest."""
    predicted = tf.argmax(logits, axis=-1, output_type=tf.int64)
    return tf.reduce_sum(tf.cast(tf.equal(predicted, labels), tf.int64))
