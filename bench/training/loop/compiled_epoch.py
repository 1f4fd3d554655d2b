"""Compile the training loop of any variant, and time its epochs.

Usage:
    program = CompiledEpoch(variant, model, update, feed, replicas)
    cold_start_s = program.cold_start()        # compiles every shape, changes no state
    program.settle_loss_scale()                # if the first gradients overflow float16
    program.warm_up(warmup_s=2.0, min_timing_s=0.25)    # if clock rates have to rise first
    epoch = program.run_epoch(3)

An epoch is a series of windows. Each is a loop over a fixed number of steps in one call. XLA
compiles again for each number of steps, so there are at most two of them. ``jit`` says what XLA
compiles: nothing, each step, or the entire window. Sums stay on the device from window to window
and are read once, after the epoch's time. Times start and end with synchronized devices.
"""

import itertools
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from bench.spec.variant import Variant
from bench.training.data.pipeline import Feed
from bench.training.data.windows import Window, split_windows
from bench.training.device_strategy import Replicas
from bench.training.exceptions import UnsupportedProgram
from bench.training.loop.gradient_update import GradientUpdate, LossScale
from bench.training.loop.heartbeat import Heartbeat
from bench.training.loop.training_state import StateCopy, restored
from bench.training.loop.training_step import TrainingStep
from bench.training.model.precision import PRECISIONS
from bench.training.tensorflow_refusal import full_tracebacks, is_refusal

_Tensor = Any

_SUMS = 5
"""Loss, correct, clipped, skipped, seconds waited."""
_SKIPPED = 3


@dataclass(frozen=True)
class WarmUp:
    """The untimed training before the first epoch, and the repeats that follow from its speed."""

    steps: int
    elapsed_s: float
    repeats: int
    """How many times each epoch is timed."""


@dataclass(frozen=True)
class _TimedPass:
    """The times and sums of one pass over an epoch."""

    epoch_s: float
    window_s: tuple[float, ...]
    sums: tuple[float, ...]


@dataclass(frozen=True)
class EpochResult:
    """The result of one epoch, over its steps and examples.

    ``loss`` is the mean over the steps that were not skipped, and ``accuracy`` that over their
    examples. The time includes skipped steps. If all were skipped, the loss is NaN.
    """

    epoch_s: float
    window_s: tuple[float, ...]
    steps: int
    examples: int
    loss: float
    accuracy: float | None
    """None if the loss is NaN: the predictions were NaN too."""
    clipped_steps: int
    skipped_steps: int
    input_wait_s: float | None = None
    """How long the loop waited for its next batch; None if the device has all of them."""
    repeats: int = 1
    """How many times the epoch was timed from the same state; times are means over these."""
    loss_scale: float | None = None
    """At the start of the epoch; None if the loss is not scaled."""

    @property
    def all_skipped(self) -> bool:
        """Whether every step was skipped."""
        return self.skipped_steps == self.steps

    @property
    def diverged(self) -> bool:
        """Whether the loss is not finite, or gradients overflow even at the smallest loss scale.

        A loss scale that has not reached its minimum yet is still settling.
        """
        if not self.all_skipped or self.loss_scale is None:
            return not math.isfinite(self.loss)
        last_scale = self.loss_scale * 0.5 ** (self.steps - 1)
        return last_scale <= LossScale.MINIMUM


class CompiledEpoch:
    """The compiled training of a model."""

    def __init__(
        self,
        variant: Variant,
        model: keras.Model,
        update: GradientUpdate,
        feed: Feed,
        replicas: Replicas,
        clock: Callable[[], float] = time.perf_counter,
        heartbeat: Heartbeat | None = None,
    ) -> None:
        self._heartbeat = heartbeat or Heartbeat()
        self._variant, self._model, self._feed = variant, model, feed
        self._loss_scale = update.loss_scale
        self._replicas, self._clock = replicas, clock
        self.step = TrainingStep(variant, model, update, feed, replicas)
        self._run = tf.function(self._window, autograph=False, jit_compile=variant.jit == "epoch")
        self._loss_dtype = PRECISIONS[variant.precision].dtype
        # Deterministic TensorFlow refuses a clock in the graph. If XLA compiles the loop, it must
        # be the feed that it refuses, not the clock.
        self._times_waits = feed.waits and variant.jit != "epoch" and not variant.deterministic
        self._repeats = 1
        self._overflowed = False
        self._traces_after_cold_start: int | None = None

    @property
    def loss_scale(self) -> float | None:
        """The current factor of the loss; None if it is not scaled."""
        if self._loss_scale is None:
            return None
        return float(self._replicas.local_values(self._loss_scale.scale)[0].numpy())

    def cold_start(self) -> float:
        """Call each window shape once, restore weights and state, and return the seconds taken.

        UnsupportedProgram if TensorFlow refuses a program for which a refusal is an answer.
        """
        with restored(self.step.variables, self._replicas):
            self._synchronize_workers()
            started = self._clock()
            with full_tracebacks():
                try:
                    sums = [self._run_window(w, _no_sums()) for w in self._distinct_windows()]
                except Exception as error:
                    if not (self._variant.may_be_refused and is_refusal(error)):
                        raise
                    raise UnsupportedProgram(getattr(error, "message", str(error))) from error
            seconds = self._clock() - started
        if self._loss_scale is not None:
            self._overflowed = any(window_sums.numpy()[_SKIPPED] > 0 for window_sums in sums)
        self._traces_after_cold_start = self._run.experimental_get_tracing_count()
        return seconds

    def settle_loss_scale(self) -> int:
        """Lower the loss scale until a window from the initial weights skips no step.

        Call it after the cold start. Return the number of untimed steps: 0 if the cold start
        skipped none, or the loss is not scaled. All other state is restored. If no gradient is
        ever finite, the scale ends at its minimum.
        """
        if self._loss_scale is None or not self._overflowed:
            return 0
        scaling, steps, skipped = self._loss_scale.variables, 0, True
        others = [v for v in self.step.variables if not any(v is s for s in scaling)]
        initial, windows = StateCopy(others, self._replicas), self._endless_windows()
        while skipped and self.loss_scale != LossScale.MINIMUM:
            window = next(windows)
            skipped = self._run_window(window, _no_sums()).numpy()[_SKIPPED] > 0
            steps += window[0]
            initial.restore()
        self._loss_scale.finite_steps.assign(0)
        return steps

    def warm_up(self, warmup_s: float, min_timing_s: float) -> WarmUp:
        """Train untimed for ``warmup_s``, restore all state, and choose the repeats of epochs.

        Call it after the cold start. An epoch that would take less than ``min_timing_s`` is
        repeated until its repeats take that long together. All workers compute the same numbers.
        """
        elapsed_s, steps, step_s = 0.0, 0, 0.0
        with restored(self.step.variables, self._replicas):
            self._synchronize_workers()
            started = self._clock()
            for window in self._endless_windows():
                if steps and elapsed_s >= warmup_s:
                    break
                self._run_window(window, _no_sums())
                before_s = elapsed_s
                elapsed_s = self._replicas.mean_over_workers(self._clock() - started)
                steps, step_s = steps + window[0], (elapsed_s - before_s) / window[0]
        # Judged by the last window, when clock rates have risen.
        epoch_s = step_s * self._variant.steps_per_epoch
        self._repeats = max(1, math.ceil(min_timing_s / epoch_s))
        return WarmUp(steps=steps, elapsed_s=elapsed_s, repeats=self._repeats)

    def run_epoch(self, epoch: int) -> EpochResult:
        """Train one epoch. Its time includes shuffling and the steps, and nothing else."""
        passes, loss_scale = [], self.loss_scale
        for _ in range(self._repeats - 1):
            with restored(self.step.variables, self._replicas):
                passes.append(self._time_pass(epoch))
        passes.append(self._time_pass(epoch))
        self._assert_not_retraced()
        window_s = tuple(map(statistics.fmean, zip(*(p.window_s for p in passes), strict=True)))
        loss, correct, clipped, skipped, _ = passes[-1].sums
        waited_s = statistics.fmean(p.sums[-1] for p in passes)
        if not math.isfinite(correct + clipped + skipped):
            # A faulty device: an epoch whose counts of steps are not finite has no result.
            loss, correct, clipped, skipped = math.nan, math.nan, 0.0, 0.0
        steps, size = self._variant.steps_per_epoch, self._variant.global_batch_size
        applied = steps - int(skipped)
        loss = loss / applied if applied else math.nan
        return EpochResult(
            epoch_s=statistics.fmean(p.epoch_s for p in passes),
            window_s=window_s,
            steps=steps,
            examples=steps * size,
            loss=loss,
            accuracy=None if math.isnan(loss) else correct / (applied * size),
            clipped_steps=int(clipped),
            skipped_steps=int(skipped),
            input_wait_s=waited_s if self._times_waits else None,
            repeats=self._repeats,
            loss_scale=loss_scale,
        )

    def _time_pass(self, epoch: int) -> _TimedPass:
        """Run and time one pass over an epoch's windows."""
        sums = _no_sums()
        self._synchronize_workers()
        edges = [self._clock()]
        for window in self._feed.windows(epoch):
            sums = self._run_window(window, sums)
            edges.append(self._clock())
        return _TimedPass(
            epoch_s=edges[-1] - edges[0],
            window_s=tuple(b - a for a, b in itertools.pairwise(edges)),
            sums=tuple(map(float, sums.numpy())),
        )

    def _run_window(self, window: Window, sums: _Tensor) -> _Tensor:
        """Run a window to its end, and return ``sums`` plus its own, still on the device."""
        steps, inputs = window
        sums = self._run(steps, sums, *inputs)
        self._synchronize()
        self._heartbeat.count += 1
        return sums

    def _distinct_windows(self) -> list[Window]:
        shapes = len({steps for _, steps in split_windows(self._variant.steps_per_epoch)})
        windows: dict[int, Window] = {}
        for window in self._feed.windows(0):
            windows.setdefault(window[0], window)
            if len(windows) == shapes:
                break
        return list(windows.values())

    def _endless_windows(self) -> Iterator[Window]:
        while True:
            yield from self._feed.windows(0)

    def _fetch(self, step: _Tensor, inputs: Sequence[Any]) -> tuple[tuple[Any, ...], _Tensor]:
        """Fetch a step's raw batch, and return it with the seconds that the loop waited."""
        if not self._times_waits:
            return self._feed.fetch(step, *inputs), tf.constant(0, tf.float64)
        started = tf.timestamp()
        with tf.control_dependencies([started]):
            raw = self._feed.fetch(step, *inputs)
        tensors = tf.nest.flatten(raw, expand_composites=True)
        with tf.control_dependencies(tensors), tf.device("CPU:0"):
            return raw, tf.timestamp() - started

    def _synchronize_workers(self) -> None:
        """Wait until the devices are idle and all workers are here, so that a time can start."""
        self._synchronize()
        # Otherwise the first all-reduce would wait for a worker that validates for longer. That
        # would add to an epoch's time with communication, but not without.
        self._heartbeat.count += 1
        self._replicas.barrier()

    def _synchronize(self) -> None:
        self._replicas.synchronize(self._model.trainable_variables[-1])

    def _assert_not_retraced(self) -> None:
        traces = self._run.experimental_get_tracing_count()
        if self._traces_after_cold_start not in (None, traces):
            raise RuntimeError(
                f"TensorFlow traced the program again inside an epoch ({traces} times in all), "
                "so the epoch's time is not a training time"
            )

    def _window(self, steps: int, previous_sums: _Tensor, *inputs: Any) -> _Tensor:
        """Run ``steps`` steps, and return ``previous_sums`` plus their sums, float64 (5,).

        The sums are of loss, correct, clipped, skipped, and the seconds waited for batches.
        """

        def body(step: _Tensor, *sums: _Tensor) -> tuple[_Tensor, ...]:
            raw, waited = self._fetch(step, inputs)
            values = (*self.step(*raw), waited)
            return step + 1, *(total + value for total, value in zip(sums, values, strict=True))

        zero, loss = tf.constant(0, tf.int64), tf.constant(0, self._loss_dtype)
        start = (tf.constant(0), loss, zero, zero, zero, tf.constant(0, tf.float64))
        # No maximum_iterations: TensorFlow would test it on the GPU, and wait at each step.
        _, *sums = tf.while_loop(lambda step, *_: step < steps, body, start, parallel_iterations=1)
        return previous_sums + tf.stack([tf.cast(total, tf.float64) for total in sums])


def _no_sums() -> _Tensor:
    return tf.zeros(_SUMS, tf.float64)
