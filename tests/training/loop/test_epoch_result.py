"""The passes of an epoch become one result: mean times, and the sums of the pass that trained."""

import itertools
import math

import pytest

from bench.training.loop.compiled_window import StepSums
from bench.training.loop.epoch_result import EpochResult, TimedPass, combine_passes
from bench.training.loop.epoch_windows import TimedWindow
from tests.support.training_setup import small

STEPS, BATCH = 21, 32


def timed_pass(edges_s: list[float], sums: StepSums) -> TimedPass:
    windows = (
        TimedWindow(start, end, cpu_s=(end - start) / 4, involuntary_switches=3)
        for start, end in itertools.pairwise(edges_s)
    )
    return TimedPass.of([tuple(windows)], sums)


def combine(*passes: TimedPass, loss_scale: float | None = None) -> EpochResult:
    return combine_passes(passes, small(), loss_scale=loss_scale, times_waits=True)


def test_times_are_means_over_the_passes_and_the_last_one_trains() -> None:
    result = combine(
        timed_pass([0.0, 1.0, 3.0], StepSums(50.0, 100.0, 0.0, 0.0, waited_s=0.25)),
        timed_pass([10.0, 13.0, 17.0], StepSums(42.0, 336.0, 2.0, 0.0, waited_s=0.75)),
    )
    assert (result.epoch_s, result.window_s, result.input_wait_s) == (5.0, (2.0, 3.0), 0.5)
    assert (result.loss, result.accuracy, result.repeats) == (2.0, 0.5, 2)
    assert (result.clipped_steps, result.skipped_steps) == (2, 0)
    assert result.window_start_s == (10.0, 13.0)
    assert result.window_cpu_s == (0.5, 0.75)
    assert result.window_involuntary_switches == (6, 6)


def test_the_mean_loss_is_over_the_steps_that_were_not_skipped() -> None:
    sums = StepSums(14.0, 224.0, 0.0, skipped=7.0, waited_s=0.0)
    result = combine(timed_pass([0.0, 1.0], sums))
    assert (result.loss, result.accuracy) == (1.0, 0.5)
    assert (result.steps, result.examples) == (STEPS, STEPS * BATCH)


@pytest.mark.parametrize(
    ("sums", "loss_scale", "reason"),
    [
        (StepSums(math.inf, 0.0, 0.0, 0.0, 0.0), None, "the training loss was inf in epoch 3"),
        (StepSums(1.0, math.nan, 0.0, 0.0, 0.0), None, "the training loss was nan in epoch 3"),
        (
            StepSums(0.0, 0.0, 0.0, STEPS, 0.0),
            None,
            "no step of epoch 3 had a finite gradient",
        ),
        (
            StepSums(0.0, 0.0, 0.0, STEPS, 0.0),
            1.0,
            "no step of epoch 3 had a finite gradient at every loss scale",
        ),
    ],
    ids=["infinite", "faulty", "skipped", "scaled"],
)
def test_a_divergence_has_its_reason(sums: StepSums, loss_scale: float | None, reason: str) -> None:
    result = combine(timed_pass([0.0, 1.0], sums), loss_scale=loss_scale)
    assert result.diverged
    assert result.divergence(epoch=3) == reason
