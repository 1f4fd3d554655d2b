"""The durations of timing: from the suite, or else from the device."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import SuiteError
from bench.spec.plan import make_plan
from bench.spec.suite import parse_suite
from bench.spec.timing import GPU_MIN_TIMING_S, GPU_WARMUP_S, Timing

SECONDS = st.floats(0, 3600)


def test_a_gpu_warms_up_and_times_for_a_while_and_a_cpu_does_neither() -> None:
    assert Timing().on("GPU") == Timing(warmup_s=GPU_WARMUP_S, min_timing_s=GPU_MIN_TIMING_S)
    assert Timing().on("CPU") == Timing(warmup_s=0.0, min_timing_s=0.0)


@given(st.sampled_from(["GPU", "CPU"]), SECONDS, SECONDS)
def test_durations_of_the_suite_hold_on_any_device(
    device: str, warmup_s: float, min_timing_s: float
) -> None:
    timing = Timing(warmup_s=warmup_s, min_timing_s=min_timing_s)
    assert timing.on(device) == timing


def test_each_trial_of_a_suite_is_timed_as_the_suite_says() -> None:
    suite = parse_suite({"name": "a", "warmup_s": 1.5, "min_timing_s": 0.25, "blocks": 2})
    timings = {trial.timing for trial in make_plan(suite).trials}
    assert timings == {Timing(warmup_s=1.5, min_timing_s=0.25)}


@pytest.mark.parametrize("key", ["warmup_s", "min_timing_s"])
@pytest.mark.parametrize("value", [-1.0, float("inf"), float("nan"), 3601.0, "2", True])
def test_invalid_durations_are_refused_by_name(key: str, value: object) -> None:
    with pytest.raises(SuiteError, match=key):
        parse_suite({"name": "a", key: value})
