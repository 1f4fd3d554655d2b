"""The compiled epoch: one training loop for every variant, timed from sync to sync.

Usage:
    program = CompiledEpoch(variant, model, update, feed, replicas)
    cold_start_s = program.cold_start()        # compiles every shape, changes no state
    program.settle_loss_scale()                # where the first gradients overflow float16
    program.warm_up(warmup_s=2.0, min_timing_s=0.25)    # where clocks have to rise first
    epoch = program.run_epoch(3)

An epoch is a row of windows, each a loop over a constant number of steps in one call: XLA
compiles anew for each number of steps, so there are two of them at most. ``jit`` says what
XLA compiles: nothing, each step, or the whole window. Sums stay on the device from window to
window and are read once, after the epoch's time.
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
from bench.training.failures import UnsupportedProgram
from bench.training.loop.gradient_update import GradientUpdate, LossScale
from bench.training.loop.heartbeat import Heartbeat
from bench.training.loop.training_state import StateCopy, restored
from bench.training.loop.training_step import TrainingStep
from bench.training.loop.windows import Window, split_windows
from bench.training.model.precision import PRECISIONS
from bench.training.refusals import is_refusal, whole_tracebacks
from bench.training.strategy import Replicas

_Tensor = Any

_SUMS = 5
"""Of loss, correct, clipped, skipped and seconds waited."""
_SKIPPED = 3


@dataclass(frozen=True)
class WarmUp:
    """What was trained untimed before the first epoch, and what follows from it."""

    steps: int
    elapsed_s: float
    repeats: int
    """How often each epoch is timed."""


@dataclass(frozen=True)
class _Timed:
    """One pass over an epoch."""

    epoch_s: float
    window_s: tuple[float, ...]
    sums: tuple[float, ...]


@dataclass(frozen=True)
class EpochResult:
    """What one epoch gave. Sums are over its steps and examples.

    ``loss`` is the mean over the steps that were taken, ``accuracy`` that over their examples:
    a step that is skipped belongs to neither, but to the time. Where all were, the loss is NaN.
    """

    epoch_s: float
    window_s: tuple[float, ...]
    steps: int
    examples: int
    loss: float
    accuracy: float | None
    """None where the loss is NaN: the predictions were no numbers either."""
    clipped_steps: int
    skipped_steps: int
    input_wait_s: float | None = None
    """Time in which the loop waited for its next batch; None where the device holds them."""
    repeats: int = 1
    """How often the epoch was timed from the same state; times are means over these."""
    loss_scale: float | None = None
    """As the epoch began; None where the loss is not scaled."""

    @property
    def all_skipped(self) -> bool:
        """Whether no step was taken."""
        return self.skipped_steps == self.steps

    @property
    def diverged(self) -> bool:
        """Whether the loss stopped being a number, or no step can be taken at any loss scale.

        A loss scale that has not come down to the smallest yet is still settling.
        """
        if not self.all_skipped or self.loss_scale is None:
            return not math.isfinite(self.loss)
        last_scale = self.loss_scale * 0.5 ** (self.steps - 1)
        return last_scale <= LossScale.SMALLEST


class CompiledEpoch:
    """A model's training, compiled."""

    def __init__(
        self,
        variant: Variant,
        model: keras.Model,
        update: GradientUpdate,
        feed: Feed,
        replicas: Replicas,
        clock: Callable[[], float] = time.perf_counter,
        pulse: Heartbeat | None = None,
    ) -> None:
        self._pulse = pulse or Heartbeat()
        self._variant, self._model, self._feed = variant, model, feed
        self._loss_scale = update.loss_scale
        self._replicas, self._clock = replicas, clock
        self.step = TrainingStep(variant, model, update, feed, replicas)
        self._run = tf.function(self._window, autograph=False, jit_compile=variant.jit == "epoch")
        self._loss_dtype = PRECISIONS[variant.precision].dtype
        # A clock in the graph is refused where TensorFlow is to be deterministic; where XLA is
        # to compile the loop, it is to refuse the feed and not the clock.
        self._times_waits = feed.waits and variant.jit != "epoch" and not variant.deterministic
        self._repeats = 1
        self._overflowed = False
        self._traces_after_cold_start: int | None = None

    @property
    def loss_scale(self) -> float | None:
        """What the loss is multiplied by now; None where it is not scaled."""
        if self._loss_scale is None:
            return None
        return float(self._replicas.parts(self._loss_scale.scale)[0].numpy())

    def cold_start(self) -> float:
        """Seconds for the first call of each window shape; weights and state are put back.

        Raises UnsupportedProgram where TensorFlow refuses to run a program that it may refuse.
        """
        with restored(self.step.variables, self._replicas):
            self._line_up()
            started = self._clock()
            with whole_tracebacks():
                try:
                    sums = [self._run_window(w, _no_sums()) for w in self._distinct_windows()]
                except Exception as error:
                    if not (self._variant.may_be_refused and is_refusal(error)):
                        raise
                    raise UnsupportedProgram(getattr(error, "message", str(error))) from error
            seconds = self._clock() - started
        if self._loss_scale is not None:
            self._overflowed = any(of_window.numpy()[_SKIPPED] > 0 for of_window in sums)
        self._traces_after_cold_start = self._run.experimental_get_tracing_count()
        return seconds

    def settle_loss_scale(self) -> int:
        """Lower the loss scale until a window from the first weights skips no step.

        Returns the untimed steps that this took: none where the cold start skipped none, or the
        loss is not scaled. All other state is put back. Where every gradient is at fault the
        scale comes down to the smallest. Call it after the cold start.
        """
        if self._loss_scale is None or not self._overflowed:
            return 0
        scaling, steps, skipped = self._loss_scale.variables, 0, True
        others = [v for v in self.step.variables if not any(v is s for s in scaling)]
        first, windows = StateCopy(others, self._replicas), self._windows_without_end()
        while skipped and self.loss_scale != LossScale.SMALLEST:
            window = next(windows)
            skipped = self._run_window(window, _no_sums()).numpy()[_SKIPPED] > 0
            steps += window[0]
            first.restore()
        self._loss_scale.calm.assign(0)
        return steps

    def warm_up(self, warmup_s: float, min_timing_s: float) -> WarmUp:
        """Train untimed for ``warmup_s``, put all state back, and choose how epochs are timed.

        An epoch that would take less than ``min_timing_s`` is repeated until all its repeats
        take that long. Every worker comes to the same numbers. Call it after the cold start.
        """
        elapsed_s, steps, step_s = 0.0, 0, 0.0
        with restored(self.step.variables, self._replicas):
            self._line_up()
            started = self._clock()
            for window in self._windows_without_end():
                if steps and elapsed_s >= warmup_s:
                    break
                self._run_window(window, _no_sums())
                before_s = elapsed_s
                elapsed_s = self._replicas.mean_over_workers(self._clock() - started)
                steps, step_s = steps + window[0], (elapsed_s - before_s) / window[0]
        # By the last window, when clocks have risen.
        epoch_s = step_s * self._variant.steps_per_epoch
        self._repeats = max(1, math.ceil(min_timing_s / epoch_s))
        return WarmUp(steps=steps, elapsed_s=elapsed_s, repeats=self._repeats)

    def run_epoch(self, epoch: int) -> EpochResult:
        """Train one epoch. Shuffling is inside its time; nothing else but the steps is."""
        timed, loss_scale = [], self.loss_scale
        for _ in range(self._repeats - 1):
            with restored(self.step.variables, self._replicas):
                timed.append(self._timed(epoch))
        timed.append(self._timed(epoch))
        self._assert_not_retraced()
        window_s = tuple(map(statistics.fmean, zip(*(t.window_s for t in timed), strict=True)))
        loss, correct, clipped, skipped, _ = timed[-1].sums
        waited_s = statistics.fmean(t.sums[-1] for t in timed)
        if not math.isfinite(correct + clipped + skipped):
            # A device at fault: counts of steps that are no numbers make the epoch no result.
            loss, correct, clipped, skipped = math.nan, math.nan, 0.0, 0.0
        steps, size = self._variant.steps_per_epoch, self._variant.global_batch_size
        taken = steps - int(skipped)
        loss = loss / taken if taken else math.nan
        return EpochResult(
            epoch_s=statistics.fmean(t.epoch_s for t in timed),
            window_s=window_s,
            steps=steps,
            examples=steps * size,
            loss=loss,
            accuracy=None if math.isnan(loss) else correct / (taken * size),
            clipped_steps=int(clipped),
            skipped_steps=int(skipped),
            input_wait_s=waited_s if self._times_waits else None,
            repeats=self._repeats,
            loss_scale=loss_scale,
        )

    def _timed(self, epoch: int) -> _Timed:
        """One pass over an epoch's windows, from sync to sync."""
        sums = _no_sums()
        self._line_up()
        edges = [self._clock()]
        for window in self._feed.windows(epoch):
            sums = self._run_window(window, sums)
            edges.append(self._clock())
        return _Timed(
            epoch_s=edges[-1] - edges[0],
            window_s=tuple(b - a for a, b in itertools.pairwise(edges)),
            sums=tuple(map(float, sums.numpy())),
        )

    def _run_window(self, window: Window, sums: _Tensor) -> _Tensor:
        """Run a window to its end; ``sums`` with its own added, still on the device."""
        steps, inputs = window
        sums = self._run(steps, sums, *inputs)
        self._synchronize()
        self._pulse.count += 1
        return sums

    def _distinct_windows(self) -> list[Window]:
        shapes = len({steps for _, steps in split_windows(self._variant.steps_per_epoch)})
        windows: dict[int, Window] = {}
        for window in self._feed.windows(0):
            windows.setdefault(window[0], window)
            if len(windows) == shapes:
                break
        return list(windows.values())

    def _windows_without_end(self) -> Iterator[Window]:
        while True:
            yield from self._feed.windows(0)

    def _taken(self, step: _Tensor, inputs: Sequence[Any]) -> tuple[tuple[Any, ...], _Tensor]:
        """What a step's batch is made from, and the seconds for which the loop waited for it."""
        if not self._times_waits:
            return self._feed.take(step, *inputs), tf.constant(0, tf.float64)
        asked = tf.timestamp()
        with tf.control_dependencies([asked]):
            taken = self._feed.take(step, *inputs)
        given = tf.nest.flatten(taken, expand_composites=True)
        with tf.control_dependencies(given), tf.device("CPU:0"):
            return taken, tf.timestamp() - asked

    def _line_up(self) -> None:
        """Begin a time with nothing left to do, and with all workers."""
        self._synchronize()
        # One that validates for longer would be waited for in the first exchange, in the time
        # of an epoch that has any, and not in that of one without communication.
        self._pulse.count += 1
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

    def _window(self, steps: int, carried: _Tensor, *inputs: Any) -> _Tensor:
        """``steps`` steps: ``carried`` with their sums added, float64 (5,).

        Sums are those of loss, correct, clipped, skipped and the seconds waited for batches.
        """

        def body(step: _Tensor, *sums: _Tensor) -> tuple[_Tensor, ...]:
            taken, waited = self._taken(step, inputs)
            of_step = (*self.step(*taken), waited)
            return step + 1, *(total + one for total, one in zip(sums, of_step, strict=True))

        zero, loss = tf.constant(0, tf.int64), tf.constant(0, self._loss_dtype)
        start = (tf.constant(0), loss, zero, zero, zero, tf.constant(0, tf.float64))
        # No maximum_iterations: TensorFlow would test it on the GPU, and wait for it at each step.
        _, *sums = tf.while_loop(lambda step, *_: step < steps, body, start, parallel_iterations=1)
        return carried + tf.stack([tf.cast(total, tf.float64) for total in sums])


def _no_sums() -> _Tensor:
    return tf.zeros(_SUMS, tf.float64)
