"""Runs with a precision: which blocks they add, what ends them, and what a later call does."""

import json
import math
import random
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import pytest

import bench
from bench.analysis.questions.narrow_enough import narrow_enough
from bench.errors import SuiteError, UsageError
from bench.execution.block_batches import Until
from bench.execution.executor import Event, FurtherBlocks, Limits, OnEvent
from bench.execution.null_observer import NullObserver
from bench.execution.runner import Outcome, open_folder, run_plan
from bench.execution.simulated import SimulatedExecutor
from bench.records.run_folder import RunFolder
from bench.records.stopping_record import Stopping
from bench.records.trial_record import Status, TrialRecord
from bench.spec.plan import Block, Trial, make_plan
from bench.spec.suite import Suite
from tests.support.sample_runs import (
    HookedExecutor,
    RecordingObserver,
    UnusedExecutor,
    resume_run,
    run,
)
from tests.support.sample_suites import TINY, suite_of

PRECISE = {**TINY, "precision": 0.02}


def noisy(deviation: float, **options: Any) -> SimulatedExecutor:
    """An executor whose trials have normal log times of this deviation."""

    def epoch_s(trial: Trial) -> float:
        return 0.1 * math.exp(random.Random(trial.trial_id).gauss(0.0, deviation))

    return SimulatedExecutor(epoch_s=epoch_s, **options)


def stopping_of(out: Path) -> Stopping:
    stopping = RunFolder.open(out).info().stopping
    assert stopping is not None
    return stopping


def blocks_of(out: Path) -> list[int]:
    return sorted(set(bench.load_trials(out)["block"]))


class Looks(NullObserver):
    """Keeps the looks after which the run went on."""

    def __init__(self) -> None:
        self.stopping: list[Stopping] = []

    def event(self, event: Event) -> None:
        if isinstance(event, FurtherBlocks) and event.stopping:
            self.stopping.append(event.stopping)


class Clock:
    """A clock that an executor's trials move on."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def executor(self, trial_s: float, **options: Any) -> SimulatedExecutor:
        def status_of(_trial: Trial, _attempt: int) -> Status:
            self.now_s += trial_s
            return "completed"

        return noisy(0.2, status_of=status_of, **options)


def run_until(
    out: Path,
    executor: SimulatedExecutor,
    max_time_s: float,
    clock: Callable[[], float],
    *,
    suite: Suite | None = None,
    resume: bool = False,
) -> Outcome:
    suite = suite or suite_of(PRECISE)
    folder, plan = open_folder(out, suite, resume=resume)
    until = Until(narrow_enough, max_time_s, clock)
    return run_plan(folder, suite, executor, NullObserver(), plan=plan, until=until)


def test_a_quiet_run_ends_at_the_first_look(out: Path) -> None:
    result = run(out, suite_of(PRECISE), executor=noisy(0.001))
    assert result.succeeded
    assert blocks_of(out) == list(range(6))
    stopping = stopping_of(out)
    assert (stopping.rule, stopping.blocks, stopping.comparisons) == ("precision", 6, 1)


def test_a_noisy_run_adds_two_blocks_at_a_time(out: Path) -> None:
    looks = Looks()
    assert run(out, suite_of(PRECISE), executor=noisy(0.03), observer=looks).succeeded
    counts = [stopping.blocks for stopping in looks.stopping]
    assert counts == list(range(6, stopping_of(out).blocks, 2))
    assert counts
    assert stopping_of(out).rule == "precision"
    widths = [stopping.half_width or 0.0 for stopping in (*looks.stopping, stopping_of(out))]
    assert all(width > 0.02 for width in widths[:-1])
    assert widths[-1] <= 0.02


def test_the_published_interval_of_a_single_comparison_is_that_of_the_look(out: Path) -> None:
    run(out, suite_of(PRECISE), executor=noisy(0.03))
    from bench.analysis.summary import summarize

    summary = summarize(out)
    ratio = next(c.ratio for v in summary.variants for c in v.comparisons if c and c.ratio)
    assert ratio.high is not None
    assert ratio.high / ratio.value - 1 == pytest.approx(stopping_of(out).half_width)
    assert ratio.high / ratio.value <= 1.02


def test_the_plan_of_a_run_that_has_ended_is_what_has_run(out: Path) -> None:
    result = run(out, suite_of(PRECISE), executor=noisy(0.03))
    info = RunFolder.open(out).info()
    plan = make_plan(suite_of({**PRECISE, "blocks": stopping_of(out).blocks}))
    assert info.trial_ids == tuple(trial.trial_id for trial in plan.trials)
    assert set(result.statuses) == set(info.trial_ids)
    assert info.suite["blocks"] == stopping_of(out).blocks
    (call,) = info.invocations
    assert call.wall_s is not None


def test_ids_do_not_depend_on_the_precision(out: Path, tmp_path: Path) -> None:
    run(out, suite_of(PRECISE), executor=noisy(0.001))
    run(tmp_path / "fixed", suite_of({**TINY, "blocks": 6}), executor=noisy(0.001))
    ids = [list(bench.load_trials(path)["trial_id"]) for path in (out, tmp_path / "fixed")]
    assert ids[0] == ids[1]
    assert RunFolder.open(tmp_path / "fixed").info().stopping is None


def test_more_blocks_than_six_are_the_first_batch(out: Path) -> None:
    run(out, suite_of({**PRECISE, "blocks": 9}), executor=noisy(0.001))
    assert stopping_of(out).blocks == 9


def test_a_run_that_is_too_noisy_ends_with_the_most_blocks(out: Path) -> None:
    run(out, suite_of({**PRECISE, "max_blocks": 9}), executor=noisy(0.5))
    stopping = stopping_of(out)
    assert (stopping.rule, stopping.blocks) == ("max_blocks", 9)
    assert blocks_of(out) == list(range(9))
    assert (stopping.needed_blocks or 0) > 9


def test_without_a_comparison_a_run_ends_with_the_blocks_asked(out: Path) -> None:
    alone = {**PRECISE, "matrix": {"norm": ["none"]}, "compare": []}
    assert run(out, suite_of(alone), executor=noisy(0.03)).succeeded
    stopping = stopping_of(out)
    assert (stopping.rule, stopping.blocks) == ("no_comparison", 2)


def test_a_failed_arm_is_left_out_and_not_repeated(out: Path) -> None:
    three = {**PRECISE, "matrix": {"norm": ["none", "bn_post", "layer"]}}

    def status_of(trial: Trial, _attempt: int) -> Status:
        return "failed" if trial.variant.norm == "layer" else "completed"

    result = run(out, suite_of(three), executor=noisy(0.03, status_of=status_of))
    assert not result.succeeded
    stopping = stopping_of(out)
    (pair,) = stopping.left_out
    assert bench.load_trials(out).set_index("variant_id").norm[pair.variant_id].iloc[0] == "layer"
    assert (stopping.rule, stopping.comparisons) == ("precision", 1)
    assert stopping.blocks > 6
    assert len(bench.load_attempts(out)) == 3 * stopping.blocks


def test_resuming_a_run_that_has_ended_starts_nothing(out: Path) -> None:
    run(out, suite_of(PRECISE), executor=noisy(0.03))
    before = (out / "run.json").read_bytes()
    assert run(out, suite_of(PRECISE), resume=True, executor=UnusedExecutor()).succeeded
    assert (out / "run.json").read_bytes() == before


@pytest.mark.parametrize("records", [1, 11, 12, 14])
def test_an_interrupted_run_goes_on_by_the_same_rule(
    out: Path, tmp_path: Path, records: int
) -> None:
    class Interrupted(HookedExecutor):
        """Raises once so many records have been yielded in all batches."""

        def __init__(self) -> None:
            self.yielded = 0
            super().__init__(self.count)
            self._epoch_s = noisy(0.03)._epoch_s

        def count(self, _count: int) -> None:
            if self.yielded == records:
                raise KeyboardInterrupt
            self.yielded += 1

    with pytest.raises(KeyboardInterrupt):
        run(out, suite_of(PRECISE), executor=Interrupted())
    stopped = RunFolder.open(out).info().stopping
    assert stopped is None or stopped.rule is None
    run(out, suite_of(PRECISE), resume=True, executor=noisy(0.03))
    run(tmp_path / "whole", suite_of(PRECISE), executor=noisy(0.03))
    assert stopping_of(out).rule == "precision"
    assert stopping_of(out).blocks >= 8
    # The block that was cut in two is used in neither ratio, so the resumed run may be longer.
    assert stopping_of(out).blocks - stopping_of(tmp_path / "whole").blocks in range(5)


def test_a_call_that_was_killed_before_its_last_look_is_completed(out: Path) -> None:
    run(out, suite_of(PRECISE), executor=noisy(0.001))
    content = json.loads((out / "run.json").read_text())
    (out / "run.json").write_text(json.dumps({**content, "stopping": None}))
    run(out, suite_of(PRECISE), resume=True, executor=UnusedExecutor())
    assert stopping_of(out).rule == "precision"


def test_a_higher_precision_extends_a_run_and_a_lower_one_is_refused(out: Path) -> None:
    run(out, suite_of(TINY), executor=noisy(0.03))
    assert blocks_of(out) == [0, 1]
    run(out, suite_of({**PRECISE, "precision": 0.04}), executor=noisy(0.03), resume=True)
    first = stopping_of(out).blocks
    run(out, suite_of(PRECISE), executor=noisy(0.03), resume=True)
    assert stopping_of(out).precision == 0.02
    assert stopping_of(out).blocks > first >= 6
    for other, named in (
        ({**PRECISE, "precision": 0.05}, "precision: 0.05 here, 0.02 in the run folder"),
        (TINY, "precision: not set here, 0.02 in the run folder"),
    ):
        with pytest.raises(SuiteError, match=named):
            run(out, suite_of(other), executor=UnusedExecutor(), resume=True)


def test_a_higher_max_blocks_goes_on(out: Path) -> None:
    run(out, suite_of({**PRECISE, "max_blocks": 6}), executor=noisy(0.5))
    assert len(resume_run(out, suite_of({**PRECISE, "max_blocks": 8}), executor=noisy(0.5))) == 4
    assert stopping_of(out).rule == "max_blocks"
    assert stopping_of(out).blocks == 8


@pytest.mark.parametrize(
    ("max_time_s", "blocks"),
    [(1.0, 1), (199.0, 1), (200.0, 2), (650.0, 6), (850.0, 8), (950.0, 9)],
)
def test_no_block_starts_that_would_end_after_the_time(
    out: Path, max_time_s: float, blocks: int
) -> None:
    clock = Clock()
    outcome = run_until(out, clock.executor(trial_s=50.0), max_time_s, clock)
    assert outcome.succeeded
    assert blocks_of(out) == list(range(blocks))
    stopping = stopping_of(out)
    assert (stopping.rule, stopping.max_time_s) == ("max_time", max_time_s)
    assert (stopping.blocks, stopping.further_blocks) == (blocks, 0)
    assert clock.now_s <= max(max_time_s, 100.0)


def test_a_run_that_is_precise_in_time_is_ended_by_its_precision(out: Path) -> None:
    clock = Clock()
    run_until(out, noisy(0.001), 1000.0, clock)
    assert stopping_of(out).rule == "precision"
    assert stopping_of(out).max_time_s == 1000.0


def test_a_run_out_of_time_goes_on_when_it_is_resumed(out: Path) -> None:
    clock = Clock()
    run_until(out, clock.executor(trial_s=50.0), 300.0, clock)
    assert stopping_of(out).blocks == 3
    capped = suite_of({**PRECISE, "max_blocks": 8})
    run(out, capped, executor=noisy(0.2), resume=True)
    assert (stopping_of(out).rule, stopping_of(out).blocks) == ("max_blocks", 8)
    assert blocks_of(out) == list(range(8))


def test_with_a_time_limit_blocks_still_run_at_once(out: Path) -> None:
    sizes: list[int] = []

    class Noting(SimulatedExecutor):
        def run(
            self, blocks: Sequence[Block], limits: Limits, on_event: OnEvent
        ) -> Generator[TrialRecord, None, None]:
            sizes.append(len(blocks))
            return super().run(blocks, limits, on_event)

    run(out, suite_of(PRECISE), executor=Noting(devices=4), max_time_s=3600.0)
    assert sizes[:2] == [4, 2]


def test_a_time_limit_without_a_precision_is_refused(out: Path) -> None:
    with pytest.raises(UsageError, match=r"--max-time needs a precision: add --until 2%"):
        run(out, suite_of(TINY), max_time_s=10.0)
    assert not out.exists()


def test_records_are_kept_as_in_any_run(out: Path) -> None:
    seen = RecordingObserver(out)
    run(out, suite_of(PRECISE), executor=noisy(0.03), observer=seen)
    assert [len(ids) for ids in seen.on_disk] == list(range(1, len(seen.records) + 1))
