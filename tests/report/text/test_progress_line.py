"""A run as it goes on: counts, what runs, and the time that is left."""

import io
import sys
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.execution.estimation.estimator import Estimate, estimated_trial_s
from bench.execution.executor import (
    EpochEnded,
    Expected,
    Limits,
    NotWarmedUp,
    Opened,
    Started,
    Waiting,
    Warned,
)
from bench.execution.gpus.device_kind import CPU, DeviceKind
from bench.execution.gpus.device_memory import MemoryNeed
from bench.execution.simulated import SimulatedExecutor
from bench.records.trial_record import STATUSES, LeftOut, Status, TrialRecord
from bench.report.text.progress_line import Progress, progress
from bench.spec.plan import Block, Trial, make_plan
from bench.spec.suite import parse_suite
from tests.support.sample_records import made_record
from tests.support.sample_suites import TINY, suite_of

BLOCKS = make_plan(suite_of(TINY)).blocks
TRIALS = [trial for block in BLOCKS for trial in block.trials]


class Screen:
    """What a progress shows."""

    def __init__(self, *, timed: bool = False) -> None:
        self.lines: list[str] = []
        self.status = ""
        self.now_s = 0.0
        self.progress = Progress(self.lines.append, self._show, lambda: self.now_s, timed=timed)

    def _show(self, text: str) -> None:
        self.status = text

    def start(self, trial: Trial, epochs: int = 0) -> None:
        """A trial starts and finishes some epochs."""
        self.progress.event(Started(trial, "node-1"))
        for epoch in made_record(trial).epochs[:epochs]:
            self.progress.event(EpochEnded(trial.trial_id, epoch))

    def end(self, trial: Trial, status: Status = "completed", error: str | None = None) -> None:
        """A trial ends."""
        update = {"status": status, "error": error, "wall_s": estimated_trial_s(trial.variant)}
        self.progress.recorded(made_record(trial).model_copy(update=update))


@pytest.fixture
def screen() -> Screen:
    made = Screen()
    made.progress.planned(BLOCKS, 1)
    return made


def test_it_begins_with_how_many_trials_there_are_and_how_many_run_at_once(screen: Screen) -> None:
    assert screen.lines == ["4 trials, 1 at a time"]
    assert screen.status == "0 done · 4 left · about 36 s to go"


def test_gpus_that_are_left_out_and_warnings_of_a_trial_have_a_line_each(screen: Screen) -> None:
    screen.progress.event(LeftOut(node="node-1", devices=("GPU-1",), reason="somebody's"))
    assert all(word in screen.lines[-1] for word in ("GPU-1", "node-1", "somebody's"))
    screen.progress.event(Warned("GPU-3 was held"))
    assert "GPU-3 was held" in screen.lines[-1]
    record = made_record(TRIALS[0]).model_copy(update={"warnings": ("GPU-2 held 8 MiB",)})
    screen.progress.recorded(record)
    assert "GPU-2 held 8 MiB" in screen.lines[-1]


def test_a_node_that_is_not_warmed_up_is_a_line(screen: Screen) -> None:
    before = len(screen.lines)
    screen.progress.event(NotWarmedUp(node="node-1", programs=3, reason="its process ended"))
    (line,) = screen.lines[before:]
    assert all(word in line for word in ("node-1", "3", "its process ended"))


def test_what_is_open_to_whom_is_a_line(screen: Screen) -> None:
    screen.progress.event(Opened("10.77.0.0/24", ("10.77.0.1", "10.77.0.2")))
    screen.progress.event(Opened())
    between, on_one = screen.lines[-2:]
    assert "10.77.0.1, 10.77.0.2 in 10.77.0.0/24" in between
    assert "10.77" not in on_one


def test_no_more_run_at_once_than_there_are_blocks() -> None:
    screen = Screen()
    screen.progress.planned(BLOCKS, 64)
    assert screen.lines == ["4 trials, 2 at a time"]


def test_a_running_trial_is_shown_with_its_epochs_and_its_node(screen: Screen) -> None:
    screen.start(TRIALS[0], epochs=1)
    assert screen.status.endswith(f"{TRIALS[0].label} (1/2 epochs on node-1)")


def test_a_finished_trial_is_a_line_with_its_epoch_s_time(screen: Screen) -> None:
    screen.start(TRIALS[0])
    screen.end(TRIALS[0])
    assert screen.lines[-1] == f"[1/4] {TRIALS[0].label} (block 0): 0.50 s an epoch"
    assert screen.status.startswith("1 done · 3 left · about 27 s to go")
    assert "node-1" not in screen.status


def test_an_epoch_that_was_cut_short_is_not_told_as_a_whole_one(screen: Screen) -> None:
    short = TRIALS[0].variant.model_copy(update={"max_steps": 3})
    screen.end(TRIALS[0].model_copy(update={"variant": short}))
    assert screen.lines[-1].endswith(": 0.50 s an epoch cut to 3 steps")


def test_a_trial_that_did_not_complete_is_a_line_with_its_reason(screen: Screen) -> None:
    screen.end(TRIALS[0], "failed", "ValueError: no")
    assert screen.lines[-1] == f"[1/4] {TRIALS[0].label} (block 0): failed: ValueError: no"
    assert screen.status.startswith("1 done · 1 not completed · 3 left")


def test_a_lost_trial_that_is_tried_again_counts_once(screen: Screen) -> None:
    screen.end(TRIALS[0], "worker_lost", "died")
    assert screen.status.startswith("1 done · 1 not completed · 3 left · about 27 s")
    screen.start(TRIALS[0])
    assert screen.status.startswith("0 done · 4 left · about 36 s")
    screen.end(TRIALS[0])
    assert screen.lines[-1].startswith("[1/4] ")
    assert screen.status.startswith("1 done · 3 left · about 27 s")


def test_the_time_left_follows_the_pace_of_what_has_ended(screen: Screen) -> None:
    trial = TRIALS[0]
    slow = made_record(trial).model_copy(update={"wall_s": 10 * estimated_trial_s(trial.variant)})
    screen.progress.recorded(slow)
    left_s = 10 * sum(estimated_trial_s(other.variant) for other in TRIALS[1:])
    assert screen.progress.left_s() == pytest.approx(left_s)


def test_without_a_status_a_finished_trial_says_what_the_run_took_and_will_take() -> None:
    screen = Screen(timed=True)
    screen.progress.planned(BLOCKS, 1)
    screen.now_s = 9.0
    screen.end(TRIALS[0])
    assert screen.lines[-1].endswith(": 0.50 s an epoch; 9.0 s so far, about 27 s to go")
    screen.now_s = 75.0
    for trial in TRIALS[1:]:
        screen.end(trial)
    assert screen.lines[-1].endswith("; 1 min 15 s so far")


def test_without_a_status_a_long_trial_is_a_line_now_and_then() -> None:
    screen = Screen(timed=True)
    screen.progress.planned(BLOCKS, 1)
    for second in range(0, 4 * 300, 10):
        screen.now_s = float(second)
        screen.start(TRIALS[0], epochs=1)
    assert len(screen.lines) == 1 + 3
    assert "1/2 epochs on node-1" in screen.lines[-1]
    assert "so far" in screen.lines[-1]


def test_a_block_that_waits_for_devices_is_a_line_with_what_it_waits_for(screen: Screen) -> None:
    screen.progress.event(Waiting(TRIALS[0], "asked for one\nGPU"))
    assert screen.lines[-1] == f"{TRIALS[0].label} (block 0): waiting: asked for one GPU"
    assert screen.status.startswith("0 done · 4 left")


def test_control_characters_and_markup_in_a_label_or_a_reason_stay_text(screen: Screen) -> None:
    nasty = TRIALS[0].model_copy(update={"label": "[red]\x1b[31mx\r"})
    screen.progress.planned([Block(repeat=0, trials=(nasty,))], 1)
    screen.start(nasty)
    assert "[red]" in screen.status
    screen.end(nasty, "failed", "line one\nline \x1b[2Jtwo")
    for shown in (screen.status, *screen.lines):
        assert not any(ord(letter) < 32 for letter in shown)


@given(st.integers(1, 5), st.integers(1, 3), st.randoms(use_true_random=False))
def test_whatever_happens_the_counts_add_up_and_end_at_all_done(
    lanes: int, retries: int, random: "object"
) -> None:
    screen, outcomes = Screen(), list(STATUSES)
    choose = getattr(random, "choice")  # noqa: B009
    executor = SimulatedExecutor(lanes, fate=lambda _trial, _attempt: choose(outcomes))
    screen.progress.planned(BLOCKS, lanes)
    for record in executor.run(BLOCKS, Limits(3600.0, retries=retries), screen.progress.event):
        screen.progress.recorded(record)
        done, left = (int(part.split()[0]) for part in _counts(screen.status))
        assert done + left == len(TRIALS)
    assert screen.status.startswith("4 done")
    assert screen.progress.left_s() == pytest.approx(0.0, abs=1e-6)


def _counts(status: str) -> Sequence[str]:
    parts = [part for part in status.split(" · ") if part.endswith((" done", " left"))]
    assert len(parts) == 2
    return parts


class Gone(io.StringIO):
    """A stream whose reader is gone."""

    def write(self, text: str) -> int:
        raise BrokenPipeError(f"nobody reads {text!r}")


def test_a_run_s_watcher_that_is_gone_raises_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Gone())
    with progress() as observer:
        observer.planned(BLOCKS, 1)
        record: TrialRecord = made_record(TRIALS[0])
        observer.recorded(record)
    assert observer.left_s() < 24


CARD = DeviceKind("NVIDIA L4", is_gpu=True, memory_bytes=24 * 10**9)


def test_estimates_of_the_run_s_own_device_take_the_place_of_guesses(screen: Screen) -> None:
    estimates = {t.variant_id: Estimate(100.0, "measured", "a run") for t in TRIALS}
    screen.progress.event(Expected(CARD, estimates, {}))
    assert screen.progress.left_s() == pytest.approx(100.0 * len(TRIALS))
    screen.start(TRIALS[0])
    screen.progress.recorded(made_record(TRIALS[0]).model_copy(update={"wall_s": 50.0}))
    assert screen.progress.left_s() == pytest.approx(50.0 * (len(TRIALS) - 1))


@pytest.mark.parametrize(
    ("needed", "remedy"),
    [
        (MemoryNeed(data_bytes=1, weights_bytes=2, batch_bytes=30 * 10**9), "global_batch_size"),
        (MemoryNeed(data_bytes=30 * 10**9, weights_bytes=2, batch_bytes=1), "pipeline"),
        (MemoryNeed(data_bytes=1, weights_bytes=30 * 10**9, batch_bytes=2), "hidden"),
    ],
)
def test_a_variant_that_will_hardly_fit_is_named_with_what_to_change(
    screen: Screen, needed: MemoryNeed, remedy: str
) -> None:
    screen.progress.event(Expected(CARD, {}, {TRIALS[0].variant_id: needed}))
    line = screen.lines[-1]
    assert line.startswith(TRIALS[0].label)
    assert remedy in line
    for part in ("30 GB", "24 GB", CARD.name):
        assert part in line


def test_many_variants_that_will_hardly_fit_are_counted(screen: Screen) -> None:
    needed = MemoryNeed(0, 0, 30 * 10**9)
    screen.progress.event(Expected(CARD, {}, {f"id {number}": needed for number in range(50)}))
    assert len(screen.lines) < 15
    assert "42" in screen.lines[-1]


def test_a_run_tells_what_jit_was_chosen_and_warns_of_a_slow_one(screen: Screen) -> None:
    variants = [{}, {"jit": "epoch"}]
    suite = parse_suite({"name": "a", "variant": {"workload": "convnet"}, "variants": variants})
    plan = make_plan(suite)
    screen.progress.planned(plan.blocks, 1)
    chosen, _asked = plan.cells
    screen.progress.event(Expected(CPU, {}, {}, open_jit=frozenset({chosen.id})))
    told, warning = screen.lines[-2:]
    assert "none for convnet" in told
    assert warning.startswith("warning: 1 variant: ")
    assert "convnet" in warning
