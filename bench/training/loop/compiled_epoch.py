"""Compile the training loop of any variant, and time its epochs.

Usage:
    program = CompiledEpoch(variant, model, update, feed, replicas)
    cold_start_s = program.cold_start()        # compiles every shape, changes no state
    program.settle_loss_scale()                # if the first gradients overflow float16
    program.warm_up(warmup_s=2.0, min_timing_s=0.25)    # if clock rates have to rise first
    epoch = program.run_epoch(3)

An epoch is a series of windows. Each is a loop over a fixed number of steps in one call. XLA
compiles again for each number of steps, so there are at most two of them. Times start and end with
synchronized devices.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import keras

from bench.protocol.messages import Turn
from bench.spec.variant import Variant
from bench.training.data.pipeline import Feed
from bench.training.data.windows import Window, split_windows
from bench.training.exceptions import UnsupportedProgram
from bench.training.loop.compiled_window import CompiledWindow, no_sums, read_sums
from bench.training.loop.epoch_result import EpochResult, TimedPass, combine_passes
from bench.training.loop.epoch_windows import EpochWindows, TimedWindow
from bench.training.loop.gradient_update import GradientUpdate
from bench.training.loop.heartbeat import Heartbeat
from bench.training.loop.loss_scale import LossScale
from bench.training.loop.training_state import StateCopy, restored
from bench.training.loop.training_step import TrainingStep
from bench.training.loop.turn_gate import OpenGate, TurnGate
from bench.training.replicas import Replicas
from bench.training.tensorflow_refusal import full_tracebacks, is_refusal


@dataclass(frozen=True)
class WarmUp:
    """The untimed training before the first epoch, and the repeats that follow from its speed."""

    steps: int
    elapsed_s: float
    repeats: int
    """How many times each epoch is timed."""


class CompiledEpoch:
    """The compiled training of a model."""

    def __init__(
        self,
        variant: Variant,
        model: keras.Model,
        update: GradientUpdate,
        feed: Feed,
        replicas: Replicas,
        # The processes of a node share this clock.
        clock: Callable[[], float] = time.monotonic,
        heartbeat: Heartbeat | None = None,
        gate: TurnGate | None = None,
    ) -> None:
        self._variant, self._feed = variant, feed
        self._loss_scale = update.loss_scale
        self._replicas, self._clock = replicas, clock
        self._gate = gate or OpenGate()
        self.step = TrainingStep(variant, model, update, feed, replicas)
        self.window = CompiledWindow(
            variant, model, self.step, feed, replicas, heartbeat or Heartbeat()
        )
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
            self.window.synchronize_workers()
            started = self._clock()
            with full_tracebacks():
                try:
                    sums = [self.window.run(w, no_sums()) for w in self._distinct_windows()]
                except Exception as error:
                    if not (self._variant.may_be_refused and is_refusal(error)):
                        raise
                    raise UnsupportedProgram(getattr(error, "message", str(error))) from error
            seconds = self._clock() - started
        if self._loss_scale is not None:
            self._overflowed = any(read_sums(of_window).skipped > 0 for of_window in sums)
        self._traces_after_cold_start = self.window.trace_count
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
            skipped = read_sums(self.window.run(window, no_sums())).skipped > 0
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
            self.window.synchronize_workers()
            started = self._clock()
            for window in self._endless_windows():
                if steps and elapsed_s >= warmup_s:
                    break
                self.window.run(window, no_sums())
                before_s = elapsed_s
                elapsed_s = self._replicas.mean_over_workers(self._clock() - started)
                steps, step_s = steps + window[0], (elapsed_s - before_s) / window[0]
        # Judged by the last window, when clock rates have risen.
        epoch_s = step_s * self._variant.steps_per_epoch
        self._repeats = max(1, math.ceil(min_timing_s / epoch_s))
        return WarmUp(steps=steps, elapsed_s=elapsed_s, repeats=self._repeats)

    def run_epoch(self, epoch: int) -> EpochResult:
        """Train one epoch in turns. Its time includes shuffling and the steps, and nothing else."""
        loss_scale = self.loss_scale
        passes = [self._run_in_turns(epoch)] if self._repeats == 1 else self._repeat(epoch)
        self._assert_not_retraced()
        return combine_passes(
            passes, self._variant, loss_scale=loss_scale, times_waits=self.window.times_waits
        )

    def _run_in_turns(self, epoch: int) -> TimedPass:
        """Run and time one pass over an epoch's windows, and wait for turns between them."""
        steps = self._variant.steps_per_epoch
        shares = [first / steps for first, _ in split_windows(steps)]
        windows = self._windows(epoch)
        turns: list[tuple[TimedWindow, ...]] = []
        done = 0
        while done < len(shares):
            turn = self._gate.enter(epoch, shares[done], len(shares))
            count = sum(turn.includes(epoch, share) for share in shares[done:])
            turns.append(windows.run_next(count, turn.round))
            done += count
        return TimedPass.of(turns, windows.sums)

    def _repeat(self, epoch: int) -> list[TimedPass]:
        """Run and time an epoch several times, in one turn; the last pass trains."""
        turn = self._gate.enter(epoch, 0.0, windows=1)
        passes = []
        for _ in range(self._repeats - 1):
            with restored(self.step.variables, self._replicas):
                passes.append(self._run_pass(epoch, turn))
        return [*passes, self._run_pass(epoch, turn)]

    def _run_pass(self, epoch: int, turn: Turn) -> TimedPass:
        windows = self._windows(epoch)
        return TimedPass.of([windows.run_next(round_number=turn.round)], windows.sums)

    def _windows(self, epoch: int) -> EpochWindows:
        return EpochWindows(self.window, self._feed.windows(epoch), self._clock)

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

    def _assert_not_retraced(self) -> None:
        traces = self.window.trace_count
        if self._traces_after_cold_start not in (None, traces):
            raise RuntimeError(
                f"TensorFlow traced the program again inside an epoch ({traces} times in all), "
                "so the epoch's time is not a training time"
            )
