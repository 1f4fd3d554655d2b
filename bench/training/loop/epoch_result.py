"""Put the windows of an epoch together: its times, and its loss and accuracy.

Usage:
    timed = TimedPass.of([windows.run_next()], windows.sums)
    result = combine_passes([timed], variant, loss_scale=None, times_waits=False)
    if result.diverged: ...
"""

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from bench.spec.variant import Variant
from bench.training.loop.compiled_window import StepSums
from bench.training.loop.epoch_windows import TimedWindow
from bench.training.loop.loss_scale import LossScale


@dataclass(frozen=True)
class TimedPass:
    """The times and sums of one pass over an epoch."""

    epoch_s: float
    windows: tuple[TimedWindow, ...]
    sums: StepSums

    @classmethod
    def of(cls, turns: Sequence[Sequence[TimedWindow]], sums: StepSums) -> "TimedPass":
        """Return the pass that ran the windows of each of ``turns`` without a pause."""
        epoch_s = sum(windows[-1].end_s - windows[0].start_s for windows in turns)
        return cls(epoch_s, tuple(itertools.chain.from_iterable(turns)), sums)


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
    window_start_s: tuple[float, ...] | None = None
    """When each window started, by the clock, in the pass that trained."""
    window_round: tuple[int, ...] | None = None
    """The round in which each window ran; None if the arms take no turns."""
    window_cpu_s: tuple[float, ...] | None = None
    """CPU time of this process in each window, as a mean over the repeats."""
    window_involuntary_switches: tuple[int, ...] | None = None
    """How often the kernel took a core from this process in each window, in all repeats."""

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

    def divergence(self, epoch: int) -> str:
        """Return why this result of epoch number ``epoch`` ends its trial, if it ``diverged``."""
        if not self.all_skipped:
            return f"the training loss was {self.loss} in epoch {epoch}"
        at_every_scale = "" if self.loss_scale is None else " at every loss scale"
        return f"no step of epoch {epoch} had a finite gradient{at_every_scale}"


def combine_passes(
    passes: Sequence[TimedPass], variant: Variant, *, loss_scale: float | None, times_waits: bool
) -> EpochResult:
    """Return the result of an epoch that was timed in ``passes``, of which the last one trained.

    Times are means over the passes, and context switches are sums. ``loss_scale`` is that at the
    start of the epoch.
    """
    # Each window as it ran in every pass.
    windows = list(zip(*(timed.windows for timed in passes), strict=True))
    loss, correct, clipped, skipped, _ = passes[-1].sums
    waited_s = statistics.fmean(timed.sums.waited_s for timed in passes)
    if not math.isfinite(correct + clipped + skipped):
        # A faulty device: an epoch whose counts of steps are not finite has no result.
        loss, correct, clipped, skipped = math.nan, math.nan, 0.0, 0.0
    steps, size = variant.steps_per_epoch, variant.global_batch_size
    applied = steps - int(skipped)
    loss = loss / applied if applied else math.nan
    return EpochResult(
        epoch_s=statistics.fmean(timed.epoch_s for timed in passes),
        window_s=tuple(statistics.fmean(w.elapsed_s for w in same) for same in windows),
        steps=steps,
        examples=steps * size,
        loss=loss,
        accuracy=None if math.isnan(loss) else correct / (applied * size),
        clipped_steps=int(clipped),
        skipped_steps=int(skipped),
        input_wait_s=waited_s if times_waits else None,
        repeats=len(passes),
        loss_scale=loss_scale,
        window_start_s=tuple(same[-1].start_s for same in windows),
        window_round=_rounds(passes[-1].windows),
        window_cpu_s=tuple(statistics.fmean(w.cpu_s for w in same) for same in windows),
        window_involuntary_switches=tuple(
            sum(w.involuntary_switches for w in same) for same in windows
        ),
    )


def _rounds(windows: Sequence[TimedWindow]) -> tuple[int, ...] | None:
    rounds = tuple(window.round for window in windows if window.round is not None)
    return rounds or None
