"""The guess of a trial's time: right in its order, if not in its size."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.execution.estimation.estimator import (
    START_S,
    Estimator,
    estimated_epoch_s,
    estimated_trial_s,
)
from bench.execution.estimation.run_history import MeasuredTime
from bench.execution.gpus.device_kind import CPU, DeviceKind
from bench.spec.defaults import fill_defaults
from bench.spec.timing import GPU_MIN_TIMING_S
from bench.spec.variant import Variant


def variant(**sample: Any) -> Variant:
    return Variant.model_validate(fill_defaults(sample))


@given(st.lists(st.integers(1, 500), max_size=4), st.integers(1, 500))
def test_another_layer_takes_longer(hidden: list[int], width: int) -> None:
    smaller, larger = variant(hidden=hidden), variant(hidden=[*hidden, 785 + width])
    assert estimated_epoch_s(larger) > estimated_epoch_s(smaller)


@given(st.integers(1, 50), st.integers(1, 50))
def test_the_estimate_is_the_start_plus_the_epochs(few: int, more: int) -> None:
    each = estimated_epoch_s(variant())
    assert estimated_trial_s(variant(epochs=few)) == pytest.approx(START_S + few * each)
    assert estimated_trial_s(variant(epochs=few + more)) > estimated_trial_s(variant(epochs=few))


@pytest.mark.parametrize(
    "slower",
    [
        {"norm": "bn_post"},
        {"global_batch_size": 8},
        {"examples": 550_000},
        {"workload": "convnet"},
    ],
)
def test_slower_settings_have_longer_estimates(slower: dict[str, Any]) -> None:
    assert estimated_epoch_s(variant(**slower)) > estimated_epoch_s(variant())


def test_several_devices_share_the_work() -> None:
    pair = variant(strategy="mirrored", replicas=2, global_batch_size=32)
    assert estimated_epoch_s(pair) < estimated_epoch_s(variant(global_batch_size=32))


def test_a_time_measured_in_an_earlier_run_is_used_and_names_the_run() -> None:
    known = variant(epochs=5)
    measured = {known.id: MeasuredTime(start_s=3.0, epoch_s=2.0, run="results/runs/a")}
    estimator = Estimator(CPU, measured)
    estimate = estimator(known.id, known)
    assert (estimate.trial_s, estimate.basis, estimate.run) == (13.0, "measured", "results/runs/a")
    normed = variant(epochs=5, norm="layer")
    other = estimator(normed.id, normed)
    assert (other.basis, other.run) == ("rates", None)


@given(st.sampled_from(["mlp", "convnet", "resnet50"]), st.sampled_from([32, 512]))
def test_a_faster_gpu_takes_less_time(workload: str, batch: int) -> None:
    slow, fast = (Estimator(DeviceKind(name, is_gpu=True)) for name in ("Tesla T4", "NVIDIA H200"))
    sample = variant(workload=workload, global_batch_size=batch)
    assert fast(sample.id, sample).trial_s <= slow(sample.id, sample).trial_s
    assert fast(sample.id, sample).basis == "guess"


def test_a_convolutional_net_takes_much_longer_on_a_cpu_with_xla() -> None:
    plain, compiled = (variant(workload="convnet", jit=jit) for jit in ("none", "epoch"))
    assert estimated_epoch_s(compiled) > 10 * estimated_epoch_s(plain)


def test_a_short_epoch_on_a_gpu_takes_as_long_as_it_is_timed() -> None:
    gpu = Estimator(DeviceKind("NVIDIA H200", is_gpu=True))
    few, many = (variant(examples=32, epochs=epochs) for epochs in (1, 11))
    times = [gpu(sample.id, sample).trial_s for sample in (few, many)]
    assert times[1] - times[0] == pytest.approx(10 * GPU_MIN_TIMING_S)
