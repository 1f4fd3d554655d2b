"""Blocks that bad luck has spoiled, and those that replace them."""

from pathlib import Path

import pytest

import bench
from bench.execution.executor import Event, FurtherBlocks
from bench.execution.further_blocks import TrialResult, with_further_blocks
from bench.execution.null_observer import NullObserver
from bench.execution.runner import Outcome, open_folder, run_plan
from bench.execution.simulated import SimulatedExecutor, StatusChooser
from bench.records.run_folder import RunFolder
from bench.records.trial_record import Status
from bench.report.text.footnotes import of_comparison
from bench.spec.plan import Trial, make_plan
from bench.spec.suite import Suite
from tests.support.sample_runs import HookedExecutor
from tests.support.sample_suites import TINY, suite_of

FOUR_BLOCKS = suite_of({**TINY, "blocks": 4})
PLAN = make_plan(FOUR_BLOCKS)


class Announcements(NullObserver):
    """The further blocks of which a run has told."""

    def __init__(self) -> None:
        self.further: list[FurtherBlocks] = []

    def event(self, event: Event) -> None:
        if isinstance(event, FurtherBlocks):
            self.further.append(event)


def blocks_of(out: Path) -> list[int]:
    return sorted(bench.load_trials(out)["block"])


def simulated(
    out: Path,
    status_of: StatusChooser,
    *,
    suite: Suite = FOUR_BLOCKS,
    observer: NullObserver | None = None,
    resume: bool = False,
) -> Outcome:
    folder, plan = open_folder(out, suite, resume=resume)
    executor = SimulatedExecutor(status_of=status_of)
    return run_plan(folder, suite, executor, observer or NullObserver(), plan=plan)


def lost_in(*blocks: int, statuses: tuple[Status, ...] = ("worker_lost",)) -> StatusChooser:
    """The first trial of each of ``blocks`` ends with ``statuses``, by attempt, then completes."""
    first = {block.trials[0].trial_id for block in PLAN.blocks if block.repeat in blocks}

    def status_of(trial: Trial, attempt: int) -> Status:
        unlucky = trial.trial_id in first and attempt <= len(statuses)
        return statuses[attempt - 1] if unlucky else "completed"

    return status_of


def test_a_block_whose_trial_was_tried_again_alone_is_replaced(out: Path) -> None:
    observer = Announcements()
    outcome = simulated(out, lost_in(1), observer=observer)
    assert blocks_of(out) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert outcome.succeeded
    assert len(outcome.planned) == 10
    assert observer.further == [FurtherBlocks(1)]
    assert len(RunFolder.open(out).info().trial_ids) == 10


def test_the_ratio_rests_on_as_many_blocks_as_the_suite_asks_for(out: Path) -> None:
    executor = SimulatedExecutor(status_of=lost_in(1))
    summary = bench.run(FOUR_BLOCKS, out, executor=executor).summary
    (comparison,) = [c for v in summary.variants for c in v.comparisons if c]
    assert comparison.ratio and comparison.ratio.blocks == 4
    assert (comparison.planned_blocks, comparison.dropped_blocks) == (5, 1)
    assert [str(note) for note in of_comparison(comparison)] == [
        "1 of 5 blocks left out: not both trials gave a time."
    ]
    assert {variant.planned for variant in summary.variants} == {5}


@pytest.mark.parametrize("status", ["worker_lost", "timed_out"])
def test_a_block_that_lost_a_trial_for_good_is_replaced_once(out: Path, status: Status) -> None:
    def status_of(trial: Trial, _attempt: int) -> Status:
        return status if trial.block in (2, 4) and trial.order % 2 else "completed"

    assert not simulated(out, status_of).succeeded
    assert blocks_of(out) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


@pytest.mark.parametrize("status", ["failed", "diverged", "out_of_memory", "unsupported"])
def test_a_trial_that_would_end_the_same_way_again_adds_no_block(out: Path, status: Status) -> None:
    simulated(out, lost_in(1, statuses=(status,)))
    assert blocks_of(out) == [0, 0, 1, 1, 2, 2, 3, 3]


def test_arms_that_never_ran_together_get_no_further_block(out: Path) -> None:
    simulated(out, lost_in(0, 1, 2, 3))
    assert blocks_of(out) == [0, 0, 1, 1, 2, 2, 3, 3]


def test_without_an_interval_nothing_is_replaced(out: Path) -> None:
    two = suite_of({**TINY, "blocks": 2})
    simulated(out, lost_in(1), suite=two)
    assert blocks_of(out) == [0, 0, 1, 1]


def test_only_the_arms_of_the_spoiled_block_run_again() -> None:
    matrix = {**TINY["matrix"], "global_batch_size": [8, 16]}
    suite = suite_of({**TINY, "blocks": 3, "matrix": matrix})
    plan = make_plan(suite)
    results = {trial.trial_id: TrialResult("completed", 0, "window") for trial in plan.trials}
    spoiled = plan.blocks[2]
    results[spoiled.trials[1].trial_id] = TrialResult("completed", 0, "trial")
    longer = with_further_blocks(plan, suite, results)
    (further,) = longer.blocks[len(plan.blocks) :]
    assert further.repeat == 3
    assert {t.variant_id for t in further.trials} == {t.variant_id for t in spoiled.trials}
    assert with_further_blocks(longer, suite, results) == longer


def test_a_resumed_run_completes_a_half_block_and_replaces_it(out: Path) -> None:
    def interrupt(count: int) -> None:
        if count == 3:
            raise KeyboardInterrupt

    folder, plan = open_folder(out, FOUR_BLOCKS, resume=False)
    with pytest.raises(KeyboardInterrupt):
        run_plan(folder, FOUR_BLOCKS, HookedExecutor(interrupt), NullObserver(), plan=plan)
    before = len(bench.load_attempts(out))
    assert simulated(out, lambda *_: "completed", resume=True).succeeded
    assert blocks_of(out) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert len(bench.load_attempts(out)) == before + 7
    simulated(out, lambda *_: "failed", resume=True)
    assert len(bench.load_attempts(out)) == before + 7


def test_a_block_that_an_interrupt_ended_as_a_whole_is_only_resumed(out: Path) -> None:
    def status_of(trial: Trial, _attempt: int) -> Status:
        return "interrupted" if trial.block == 2 else "completed"

    simulated(out, status_of)
    assert simulated(out, lambda *_: "completed", resume=True).succeeded
    assert blocks_of(out) == [0, 0, 1, 1, 2, 2, 3, 3]
    assert simulated(out, lambda *_: "failed", resume=True).succeeded


def test_a_trial_that_is_unsupported_when_resumed_does_not_fail_the_run(out: Path) -> None:
    simulated(out, lost_in(1, statuses=("worker_lost", "worker_lost")))
    assert simulated(out, lambda *_: "unsupported", resume=True).succeeded


def test_a_suite_with_a_precision_adds_blocks_by_its_own_rule() -> None:
    suite = suite_of({**TINY, "blocks": 6, "precision": 0.02})
    plan = make_plan(suite)
    results = {trial.trial_id: TrialResult("completed", 0, "window") for trial in plan.trials}
    results[plan.trials[0].trial_id] = TrialResult("worker_lost", 0, "window")
    assert with_further_blocks(plan, suite, results) == plan


def test_a_block_whose_arms_memory_does_not_hold_at_once_is_not_replaced() -> None:
    results = {trial.trial_id: TrialResult("completed", 0, "window") for trial in PLAN.trials}
    last = PLAN.blocks[1].trials[1].trial_id
    results[last] = TrialResult("completed", 0, "trial", "memory")
    assert with_further_blocks(PLAN, FOUR_BLOCKS, results) == PLAN
    results[last] = TrialResult("completed", 0, "trial", "retried")
    assert len(with_further_blocks(PLAN, FOUR_BLOCKS, results).blocks) == 5
