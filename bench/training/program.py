"""The compiled epoch: one training loop for every variant, timed from sync to sync.

Usage:
    program = Program(variant, model, update, feed, replicas)
    cold_start_s = program.cold_start()        # compiles every shape, changes no state
    epoch = program.run_epoch(3)

An epoch is a row of windows, each a loop over a constant number of steps in one call: XLA
compiles anew for each number of steps, so there are two of them at most. ``jit`` says what
XLA compiles: nothing, each step, or the whole window.
"""

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
from bench.training.refusal import is_refusal, whole_tracebacks
from bench.training.state import restore, snapshot
from bench.training.step import Step
from bench.training.strategy import Replicas
from bench.training.windows import Window

_Tensor = Any


@dataclass(frozen=True)
class EpochResult:
    """What one epoch gave. Sums are over its steps and examples.

    ``loss`` is the mean over the steps that were taken, ``accuracy`` that over their examples:
    a step that is skipped belongs to neither, but to the time. NaN where all were.
    """

    epoch_s: float
    window_s: tuple[float, ...]
    steps: int
    examples: int
    loss: float
    accuracy: float
    clipped_steps: int
    skipped_steps: int
    input_wait_s: float | None = None
    """Time in which steps waited for their batches; None where the device holds them."""

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
        self._variant, self._model, self._feed = variant, model, feed
        self._replicas, self._clock = replicas, clock
        self.step = Step(variant, model, update, feed, replicas)
        self._run = tf.function(self._window, autograph=False, jit_compile=variant.jit == "epoch")
        self._loss_dtype = PRECISIONS[variant.precision].dtype
        self._looks_at_waits = feed.waits and variant.jit != "epoch"
        self._traces_after_cold_start: int | None = None

    def cold_start(self) -> float:
        """Seconds for the first call of each window shape; weights and state are put back.

        Raises CannotRun where TensorFlow refuses to run a program that it may refuse.
        """
        before = snapshot(self.step.variables)
        self._line_up()
        started = self._clock()
        with whole_tracebacks():
            try:
                for window in self._distinct_windows():
                    self._totals(window)
            except Exception as error:
                if not (self._variant.may_be_refused and is_refusal(error)):
                    raise
                raise CannotRun(getattr(error, "message", str(error))) from error
        seconds = self._clock() - started
        restore(self.step.variables, before)
        self._traces_after_cold_start = self._run.experimental_get_tracing_count()
        return seconds

    def run_epoch(self, epoch: int) -> EpochResult:
        """Train one epoch. Shuffling is inside its time; nothing else but the steps is."""
        edges, totals, steps = [], [], 0
        self._line_up()
        edges.append(self._clock())
        for window in self._feed.windows(epoch):
            totals.append(self._totals(window))
            steps += window[0]
            edges.append(self._clock())
        self._assert_not_retraced()
        loss, correct, clipped, skipped, waited = map(sum, zip(*totals, strict=True))
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
            input_wait_s=waited if self._looks_at_waits else None,
        )

    def _taken(self, step: _Tensor, inputs: Sequence[Any]) -> tuple[tuple[Any, ...], _Tensor]:
        """What a step's batch is made from, and the seconds for which it was waited for."""
        # Where XLA is to compile the loop, it is to refuse the feed and not the look at the clock.
        if not self._looks_at_waits:
            return self._feed.take(step, *inputs), tf.constant(0, tf.float64)
        asked = tf.timestamp()
        with tf.control_dependencies([asked]):
            taken = self._feed.take(step, *inputs)
        with tf.control_dependencies(taken):
            return taken, tf.timestamp() - asked

    def _distinct_windows(self) -> list[Window]:
        windows: dict[int, Window] = {}
        for window in self._feed.windows(0):
            windows.setdefault(window[0], window)
        return list(windows.values())

    def _totals(self, window: Window) -> tuple[float, ...]:
        """Run a window: its sums of loss, correct, clipped, skipped and seconds waited."""
        steps, inputs = window
        totals = self._run(steps, *inputs)
        # Reading a value back waits for the work that made it; the weights may come later.
        values = tuple(float(total) for total in totals)
        self._synchronize()
        self._pulse.beats += 1
        return values

    def _line_up(self) -> None:
        """Begin a time with nothing left to do, and with all workers."""
        self._synchronize()
        # One that validates for longer would be waited for in the first exchange, in the time
        # of an epoch that has any, and not in that of one without communication.
        self._pulse.beats += 1
        self._replicas.barrier()

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
            taken, waited = self._taken(step, inputs)
            of_step = (*self.step(*taken), waited)
            return step + 1, *(total + one for total, one in zip(sums, of_step, strict=True))

        zero, loss = tf.constant(0, tf.int64), tf.constant(0, self._loss_dtype)
        sums = (loss, zero, zero, zero, tf.constant(0, tf.float64))
        return tuple(
            tf.while_loop(
                lambda step, *_: step < steps,
                body,
                (tf.constant(0), *sums),
                maximum_iterations=steps,
                parallel_iterations=1,
            )[1:]
        )
