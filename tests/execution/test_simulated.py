"""Simulated runs: bounds of their time, statuses, retries."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import ResourceError
from bench.execution.estimation.estimator import START_S
from bench.execution.executor import Limits
from bench.execution.simulated import SimulatedExecutor
from bench.records.trial_record import STATUSES, Status, TrialRecord
from bench.spec.plan import Block, Trial, make_plan
from tests.support.large_cluster import NODES, epoch_s, mixed_blocks
from tests.support.observers import LIMITS, observe
from tests.support.sample_suites import TINY, suite_of

_WIDTHS = [[4], [8], [16], [32], [64]]


def _blocks(arms: int, repeats: int, *, compared: bool) -> list[Block]:
    content: dict[str, Any] = {
        **TINY,
        "blocks": repeats,
        "matrix": {"hidden": _WIDTHS[:arms]},
        "compare": [{"axis": "hidden", "baseline": [4]}] if compared and arms > 1 else [],
    }
    return list(make_plan(suite_of(content)).blocks)


@st.composite
def plans(draw: st.DrawFn) -> list[Block]:
    arms, repeats = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    return _blocks(arms, repeats, compared=draw(st.booleans()))


def seconds(trial: Trial) -> float:
    """An epoch's time that differs from trial to trial."""
    return float(1 + trial.variant.hidden[0] + trial.block)


@given(plans(), st.integers(1, 6))
def test_the_makespan_obeys_the_bounds_of_list_scheduling(
    blocks: list[Block], devices: int
) -> None:
    executor = SimulatedExecutor(devices, seconds)
    records = observe(executor, blocks).records
    wall = {r.trial.trial_id: r.wall_s or 0.0 for r in records}
    of_blocks = [sum(wall[trial.trial_id] for trial in block.trials) for block in blocks]
    assert executor.makespan_s >= max(of_blocks) * (1 - 1e-9)
    assert executor.makespan_s >= sum(of_blocks) / devices * (1 - 1e-9)
    # R. L. Graham's bound for list scheduling (SIAM J. Appl. Math. 17, 1969, 416-429).
    longest = max(of_blocks)
    assert executor.makespan_s <= (sum(of_blocks) / devices + longest * (1 - 1 / devices)) * (
        1 + 1e-9
    )


@given(plans())
def test_one_device_takes_as_long_as_all_trials_together(blocks: list[Block]) -> None:
    executor = SimulatedExecutor(1, seconds)
    records = observe(executor, blocks).records
    assert executor.makespan_s == pytest.approx(sum(r.wall_s or 0.0 for r in records))


@given(plans(), st.integers(1, 6))
def test_a_block_stays_on_one_device_and_no_more_are_used_than_there_are(
    blocks: list[Block], devices: int
) -> None:
    records = observe(SimulatedExecutor(devices), blocks).records
    devices_of = {r.trial.trial_id: r.devices for r in records}
    for block in blocks:
        assert len({devices_of[trial.trial_id] for trial in block.trials}) == 1
    assert len(set(devices_of.values())) <= min(devices, len(blocks))


def test_a_block_takes_as_many_devices_as_its_largest_trial_has_replicas() -> None:
    content = {
        **TINY,
        "variant": {**TINY["variant"], "strategy": "mirrored", "global_batch_size": 64},
        "matrix": {"replicas": [1, 4]},
        "compare": [{"axis": "replicas", "baseline": 1}],
    }
    blocks = list(make_plan(suite_of(content)).blocks)
    executor = SimulatedExecutor(8)
    assert {len(r.devices) for r in observe(executor, blocks).records} == {1, 4}
    assert executor.makespan_s * 2 == pytest.approx(
        sum(r.wall_s or 0.0 for r in observe(executor, blocks).records), rel=0.1
    )


def test_a_trial_with_more_replicas_than_devices_is_refused() -> None:
    content = {**TINY, "matrix": {}, "compare": []}
    asked = suite_of(content, strategy="mirrored", replicas=4)
    with pytest.raises(ResourceError, match="lower replicas or workers"):
        observe(SimulatedExecutor(2), asked)


@given(plans(), st.randoms(use_true_random=False), st.integers(0, 3))
def test_only_lost_workers_are_retried_up_to_the_limit(
    blocks: list[Block], random: Any, retries: int
) -> None:
    chosen: dict[tuple[str, int], Status] = {}

    def choose(trial: Trial, attempt: int) -> Status:
        chosen[trial.trial_id, attempt] = random.choice(STATUSES)
        return chosen[trial.trial_id, attempt]

    limits = Limits(LIMITS.trial_timeout_s, retries=retries)
    log = observe(SimulatedExecutor(2, status_of=choose), blocks, limits)
    for trial in (trial for block in blocks for trial in block.trials):
        statuses = [r.status for r in log.records if r.trial == trial]
        assert statuses == [chosen[trial.trial_id, n] for n in range(1, len(statuses) + 1)]
        assert set(statuses[:-1]) <= {"worker_lost"}
        assert statuses[-1] != "worker_lost" or len(statuses) == retries + 1


@given(plans(), st.floats(START_S, 500))
def test_no_trial_lasts_beyond_its_time_limit_and_one_that_would_keeps_its_epochs(
    blocks: list[Block], limit_s: float
) -> None:
    executor = SimulatedExecutor(1, seconds)
    for record in observe(executor, blocks, Limits(limit_s)).records:
        epoch_s, wanted = seconds(record.trial), record.trial.variant.epochs
        assert (record.wall_s or 0.0) <= limit_s
        assert (record.status == "timed_out") == (START_S + wanted * epoch_s > limit_s)
        if record.status == "timed_out":
            assert len(record.epochs) == int((limit_s - START_S) / epoch_s)
        else:
            assert len(record.epochs) == wanted


def test_a_simulated_record_says_that_it_is_one_and_claims_no_accuracy() -> None:
    (record, *_) = observe(SimulatedExecutor(), _blocks(1, 1, compared=False)).records
    assert record.resolved["simulated"] is True
    assert record.measures.test_accuracy is None
    assert all(epoch.val_accuracy is None for epoch in record.epochs)


@pytest.mark.slow
def test_10_000_trials_on_1_000_gpus_take_at_most_5_percent_more_than_they_must() -> None:
    blocks = mixed_blocks()
    executor = SimulatedExecutor(NODES, epoch_s)
    devices_s, longest_s, used = 0.0, 0.0, set[str]()
    for record in executor.run(blocks, LIMITS, lambda _: None):
        wall_s = record.wall_s or 0.0
        assert len(record.devices) == record.trial.variant.total_replicas
        used.update(record.devices)
        devices_s += wall_s * len(record.devices)
        longest_s = max(longest_s, wall_s)
    assert len(used) == sum(NODES)
    # What no schedule can beat: the work shared evenly, and the longest trial.
    assert executor.makespan_s <= 1.05 * max(devices_s / sum(NODES), longest_s)


def test_each_worker_is_on_one_node_and_spread_workers_are_apart() -> None:
    blocks = mixed_blocks()[:500]
    for record in SimulatedExecutor((8, 8, 8, 8, 4, 3), epoch_s).run(
        [b for b in blocks if b.trials[0].variant.workers < 5], LIMITS, lambda _: None
    ):
        variant = record.trial.variant
        nodes = Counter(device.rpartition("-")[0] for device in record.devices)
        assert all(count % variant.replicas == 0 for count in nodes.values())
        if variant.placement == "spread":
            assert len(nodes) == variant.workers


def test_the_same_plan_gives_the_same_records_every_time() -> None:
    blocks = _blocks(3, 2, compared=True)
    first, second = (observe(SimulatedExecutor(2), blocks).records for _ in range(2))
    assert first == second


def _of_two_arms(**limits: Any) -> list[TrialRecord]:
    executor = SimulatedExecutor(epoch_s=lambda _: 2.0)
    return observe(executor, _blocks(2, 1, compared=True), Limits(3600.0, **limits)).records


def test_the_arms_of_a_block_take_turns_in_the_same_rounds() -> None:
    first, second = _of_two_arms()
    rounds = [epoch.window_round for record in (first, second) for epoch in record.epochs]
    assert first.resolved["turns"] == "window"
    assert rounds[: len(first.epochs)] == rounds[len(first.epochs) :]
    numbers = [number for epoch in first.epochs for number in epoch.window_round or ()]
    assert numbers == sorted(numbers)
    assert set(numbers) == set(range(numbers[-1] + 1))
    for epoch in first.epochs:
        assert len(epoch.window_s) == len(epoch.window_round or ())
        assert sum(epoch.window_s) == pytest.approx(epoch.epoch_s)


def test_whole_trials_have_no_rounds() -> None:
    for record in _of_two_arms(turns="trial"):
        assert record.resolved["turns"] == "trial"
        assert record.resolved["turns_reason"] == "asked"
        assert all(epoch.window_round is None for epoch in record.epochs)


def test_a_trial_that_is_tried_again_has_no_rounds() -> None:
    def lost_at_first(_trial: Trial, attempt: int) -> Status:
        return "worker_lost" if attempt == 1 else "completed"

    executor = SimulatedExecutor(status_of=lost_at_first)
    records = observe(executor, _blocks(2, 1, compared=True), LIMITS).records
    again = [record for record in records if record.status == "completed"]
    assert len(again) == 2
    assert all(epoch.window_round is None for record in again for epoch in record.epochs)
