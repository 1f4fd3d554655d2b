"""The progress of a run: counts, running trials and the remaining time."""

import io
import sys
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.execution.estimation.device_memory import MemoryNeed
from bench.execution.estimation.estimator import Estimate, estimated_trial_s
from bench.execution.executor import (
    BlockWait,
    EpochEnd,
    Forecast,
    FurtherBlocks,
    Limits,
    OpenServer,
    RunWarning,
    SetupStart,
    TrialStart,
    WarmUpFailure,
)
from bench.execution.gpus.device_kind import CPU, DeviceKind
from bench.execution.simulated import SimulatedExecutor
from bench.records.trial_record import STATUSES, ExcludedGpus, Status, TrialRecord
from bench.report.text.progress_line import Progress, progress
from bench.spec.plan import Block, Trial, make_plan
from bench.spec.suite import parse_suite
from tests.support.sample_looks import LOOK
from tests.support.sample_records import make_record
from tests.support.sample_suites import TINY, suite_of

BLOCKS = make_plan(suite_of(TINY)).blocks
TRIALS = [trial for block in BLOCKS for trial in block.trials]


class Screen:
    """Collects what a ``Progress`` shows."""

    def __init__(self, *, timed: bool = False) -> None:
        self.lines: list[str] = []
        self.status = ""
        self.now_s = 0.0
        self.progress = Progress(self.lines.append, self._show, lambda: self.now_s, timed=timed)

    def _show(self, text: str) -> None:
        self.status = text

    def start(self, trial: Trial, epochs: int = 0) -> None:
        """Start a trial and finish some epochs."""
        self.progress.event(TrialStart(trial, "node-1"))
        for epoch in make_record(trial).epochs[:epochs]:
            self.progress.event(EpochEnd(trial.trial_id, epoch))

    def end(self, trial: Trial, status: Status = "completed", error: str | None = None) -> None:
        """Finish a trial."""
        update = {"status": status, "error": error, "wall_s": estimated_trial_s(trial.variant)}
        self.progress.recorded(make_record(trial).model_copy(update=update))


@pytest.fixture
def screen() -> Screen:
    screen = Screen()
    screen.progress.planned(BLOCKS, 1)
    return screen


def test_the_first_line_counts_trials_and_how_many_run_at_once(screen: Screen) -> None:
    assert screen.lines == ["4 trials, 1 at a time"]
    assert screen.status == "0 done · 4 left · about 12 s to go"


def test_further_blocks_are_counted_with_the_others_and_the_reason_is_shown(
    screen: Screen,
) -> None:
    for trial in TRIALS:
        screen.end(trial)
    longer = make_plan(suite_of({**TINY, "blocks": 4})).blocks[2:]
    screen.progress.event(FurtherBlocks(2, LOOK))
    screen.progress.planned(longer, 1)
    assert screen.lines[-2:] == [
        "6 blocks: ratios are precise to ±3.1 %, wanted ±2.0 %: 2 more, about 12 in all",
        "4 trials, 1 at a time",
    ]
    assert screen.status == "4 done · 4 left · about 12 s to go"
    screen.end(longer[0].trials[0])
    assert screen.lines[-1].startswith("[5/8] ")


def test_excluded_gpus_and_warnings_have_a_line_each(screen: Screen) -> None:
    screen.progress.event(ExcludedGpus(node="node-1", devices=("GPU-1",), reason="somebody's"))
    assert all(word in screen.lines[-1] for word in ("GPU-1", "node-1", "somebody's"))
    screen.progress.event(RunWarning("GPU-3 was held"))
    assert "GPU-3 was held" in screen.lines[-1]
    record = make_record(TRIALS[0]).model_copy(update={"warnings": ("GPU-2 held 8 MiB",)})
    screen.progress.recorded(record)
    assert "GPU-2 held 8 MiB" in screen.lines[-1]


def test_a_node_that_was_not_warmed_up_has_a_line(screen: Screen) -> None:
    before = len(screen.lines)
    screen.progress.event(WarmUpFailure(node="node-1", programs=3, reason="its process ended"))
    (line,) = screen.lines[before:]
    assert all(word in line for word in ("node-1", "3", "its process ended"))


def test_a_line_says_who_can_reach_the_open_server(screen: Screen) -> None:
    screen.progress.event(OpenServer("10.77.0.0/24", ("10.77.0.1", "10.77.0.2")))
    screen.progress.event(OpenServer())
    network, machine = screen.lines[-2:]
    assert "10.77.0.1, 10.77.0.2 in 10.77.0.0/24" in network
    assert "10.77" not in machine


def test_at_most_as_many_trials_run_at_once_as_there_are_blocks() -> None:
    screen = Screen()
    screen.progress.planned(BLOCKS, 64)
    assert screen.lines == ["4 trials, 2 at a time"]


def test_the_status_shows_a_running_trial_with_its_epochs_and_its_node(screen: Screen) -> None:
    screen.start(TRIALS[0], epochs=1)
    assert screen.status.endswith(f"{TRIALS[0].label} (1/2 epochs on node-1)")


def test_a_finished_trial_has_a_line_with_its_epoch_time(screen: Screen) -> None:
    screen.start(TRIALS[0])
    screen.end(TRIALS[0])
    assert screen.lines[-1] == f"[1/4] {TRIALS[0].label} (block 0): 0.50 s an epoch"
    assert screen.status.startswith("1 done · 3 left · about 9.0 s to go")
    assert "node-1" not in screen.status


def test_a_capped_epoch_is_marked(screen: Screen) -> None:
    capped = TRIALS[0].variant.model_copy(update={"max_steps": 3})
    screen.end(TRIALS[0].model_copy(update={"variant": capped}))
    assert screen.lines[-1].endswith(": 0.50 s an epoch capped at 3 steps")


def test_a_failed_trial_has_a_line_with_its_reason(screen: Screen) -> None:
    screen.end(TRIALS[0], "failed", "ValueError: no")
    assert screen.lines[-1] == f"[1/4] {TRIALS[0].label} (block 0): failed: ValueError: no"
    assert screen.status.startswith("1 done · 1 not completed · 3 left")


def test_a_retried_trial_counts_once(screen: Screen) -> None:
    screen.end(TRIALS[0], "worker_lost", "died")
    assert screen.status.startswith("1 done · 1 not completed · 3 left · about 9.0 s")
    screen.start(TRIALS[0])
    assert screen.status.startswith("0 done · 4 left · about 12 s")
    screen.end(TRIALS[0])
    assert screen.lines[-1].startswith("[1/4] ")
    assert screen.status.startswith("1 done · 3 left · about 9.0 s")


def test_the_remaining_time_follows_the_pace_of_finished_trials(screen: Screen) -> None:
    trial = TRIALS[0]
    slow = make_record(trial).model_copy(update={"wall_s": 10 * estimated_trial_s(trial.variant)})
    screen.progress.recorded(slow)
    remaining_s = 10 * sum(estimated_trial_s(other.variant) for other in TRIALS[1:])
    assert screen.progress.remaining_s() == pytest.approx(remaining_s)


def test_without_a_status_line_a_finished_trial_shows_elapsed_and_remaining_time() -> None:
    screen = Screen(timed=True)
    screen.progress.planned(BLOCKS, 1)
    screen.now_s = 9.0
    screen.end(TRIALS[0])
    assert screen.lines[-1].endswith(": 0.50 s an epoch; 9.0 s so far, about 9.0 s to go")
    screen.now_s = 75.0
    for trial in TRIALS[1:]:
        screen.end(trial)
    assert screen.lines[-1].endswith("; 1 min 15 s so far")


def test_without_a_status_line_a_long_trial_prints_the_status_now_and_then() -> None:
    screen = Screen(timed=True)
    screen.progress.planned(BLOCKS, 1)
    for second in range(0, 4 * 300, 10):
        screen.now_s = float(second)
        screen.start(TRIALS[0], epochs=1)
    assert len(screen.lines) == 1 + 3
    assert "1/2 epochs on node-1" in screen.lines[-1]
    assert "so far" in screen.lines[-1]


def test_a_block_that_waits_for_devices_has_a_line_with_the_reason(screen: Screen) -> None:
    screen.progress.event(BlockWait(TRIALS[0], "needs one\nGPU"))
    assert screen.lines[-1] == f"{TRIALS[0].label} (block 0): waiting: needs one GPU"
    assert screen.status.startswith("0 done · 4 left")


def test_control_characters_and_markup_are_shown_as_text(screen: Screen) -> None:
    hostile = TRIALS[0].model_copy(update={"label": "[red]\x1b[31mx\r"})
    screen.progress.planned([Block(repeat=0, trials=(hostile,))], 1)
    screen.start(hostile)
    assert "[red]" in screen.status
    screen.end(hostile, "failed", "line one\nline \x1b[2Jtwo")
    for text in (screen.status, *screen.lines):
        assert not any(ord(letter) < 32 for letter in text)


@given(st.integers(1, 5), st.integers(1, 3), st.randoms(use_true_random=False))
def test_for_any_outcomes_the_counts_add_up_and_end_at_all_done(
    concurrency: int, retries: int, random: "object"
) -> None:
    screen, outcomes = Screen(), list(STATUSES)
    choose = getattr(random, "choice")  # noqa: B009
    executor = SimulatedExecutor(concurrency, status_of=lambda _trial, _attempt: choose(outcomes))
    screen.progress.planned(BLOCKS, concurrency)
    for record in executor.run(BLOCKS, Limits(3600.0, retries=retries), screen.progress.event):
        screen.progress.recorded(record)
        done, left = (int(part.split()[0]) for part in _counts(screen.status))
        assert done + left == len(TRIALS)
    assert screen.status.startswith("4 done")
    assert screen.progress.remaining_s() == pytest.approx(0.0, abs=1e-6)


def _counts(status: str) -> Sequence[str]:
    parts = [part for part in status.split(" · ") if part.endswith((" done", " left"))]
    assert len(parts) == 2
    return parts


class ClosedStream(io.StringIO):
    """A stream whose reader is gone."""

    def write(self, text: str) -> int:
        raise BrokenPipeError(f"no reader for {text!r}")


def test_a_closed_stderr_does_not_stop_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", ClosedStream())
    with progress() as observer:
        observer.planned(BLOCKS, 1)
        record: TrialRecord = make_record(TRIALS[0])
        observer.recorded(record)
    assert observer.remaining_s() < 24


CARD = DeviceKind("NVIDIA L4", is_gpu=True, memory_bytes=24 * 10**9)


def test_estimates_for_the_device_of_the_run_replace_the_defaults(screen: Screen) -> None:
    estimates = {t.variant_id: Estimate(100.0, "measured", "a run") for t in TRIALS}
    screen.progress.event(Forecast(CARD, estimates, {}))
    assert screen.progress.remaining_s() == pytest.approx(100.0 * len(TRIALS))
    screen.start(TRIALS[0])
    screen.progress.recorded(make_record(TRIALS[0]).model_copy(update={"wall_s": 50.0}))
    assert screen.progress.remaining_s() == pytest.approx(50.0 * (len(TRIALS) - 1))


@pytest.mark.parametrize(
    ("need", "remedy"),
    [
        (MemoryNeed(data_bytes=1, weights_bytes=2, batch_bytes=30 * 10**9), "global_batch_size"),
        (MemoryNeed(data_bytes=30 * 10**9, weights_bytes=2, batch_bytes=1), "pipeline"),
        (MemoryNeed(data_bytes=1, weights_bytes=30 * 10**9, batch_bytes=2), "hidden"),
    ],
)
def test_a_variant_that_may_not_fit_is_named_with_a_remedy(
    screen: Screen, need: MemoryNeed, remedy: str
) -> None:
    screen.progress.event(Forecast(CARD, {}, {TRIALS[0].variant_id: need}))
    line = screen.lines[-1]
    assert line.startswith(TRIALS[0].label)
    assert remedy in line
    for part in ("30 GB", "24 GB", CARD.name):
        assert part in line


def test_many_variants_that_may_not_fit_are_counted(screen: Screen) -> None:
    need = MemoryNeed(0, 0, 30 * 10**9)
    screen.progress.event(Forecast(CARD, {}, {f"id {number}": need for number in range(50)}))
    assert len(screen.lines) < 15
    assert "42" in screen.lines[-1]


def test_a_run_shows_the_default_jit_and_warns_about_a_slow_one(screen: Screen) -> None:
    variants = [{}, {"jit": "epoch"}]
    suite = parse_suite({"name": "a", "variant": {"workload": "convnet"}, "variants": variants})
    plan = make_plan(suite)
    screen.progress.planned(plan.blocks, 1)
    default, _explicit = plan.cells
    screen.progress.event(Forecast(CPU, {}, {}, open_jit=frozenset({default.id})))
    default_line, warning = screen.lines[-2:]
    assert "none for convnet" in default_line
    assert warning.startswith("warning: 1 variant: ")
    assert "convnet" in warning


def test_a_setup_that_may_take_minutes_has_a_line(screen: Screen) -> None:
    screen.progress.event(SetupStart("base", "make\x1b[2J deps"))
    assert screen.lines[-1].startswith("environment base: setup: make")
    assert "\x1b" not in screen.lines[-1]
