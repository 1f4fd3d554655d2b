"""The windows of an epoch run in parts as they do at once, and a pause is in no window's time."""

from typing import Any

import numpy as np
import pytest

from bench.training.loop.epoch_windows import EpochWindows
from tests.support.training_setup import SteppingClock, TrainingSetup, make_program, small, snapshot

EIGHT_WINDOWS = {"examples": 6400, "global_batch_size": 8}


def windows_of(setup: TrainingSetup, clock: SteppingClock | None = None) -> EpochWindows:
    return EpochWindows(setup.program.window, setup.feed.windows(0), clock or SteppingClock())


@pytest.mark.parametrize("axes", [{"norm": "bn_post"}, {"pipeline": "tfdata"}], ids=str)
def test_an_epoch_in_parts_trains_as_at_once(axes: dict[str, Any]) -> None:
    setups = [make_program(small(**EIGHT_WINDOWS, **axes)) for _ in range(2)]
    in_parts, at_once = map(windows_of, setups)
    assert [len(in_parts.run_next(count)) for count in (1, 4)] == [1, 4]
    assert len(in_parts.run_next()) == 3
    assert len(at_once.run_next()) == 8
    assert in_parts.sums[:-1] == at_once.sums[:-1]  # waits differ
    mine, theirs = (snapshot(setup.state) for setup in setups)
    for part, whole in zip(mine, theirs, strict=True):
        np.testing.assert_array_equal(part, whole)


def test_a_pause_is_in_no_window() -> None:
    clock = SteppingClock()
    windows = windows_of(make_program(small(**EIGHT_WINDOWS)), clock)
    first = windows.run_next(3)
    clock.now += 100.0
    rest = windows.run_next()
    assert [w.elapsed_s for w in (*first, *rest)] == [1.0] * 8
    for part in (first, rest):
        assert [w.start_s for w in part[1:]] == [w.end_s for w in part[:-1]]
    assert rest[0].start_s > first[-1].end_s + 100
