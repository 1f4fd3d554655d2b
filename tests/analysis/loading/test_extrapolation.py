"""Tests of capped epochs: extrapolated from their windows, and marked."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.analysis.loading.data_frames import load_epochs, load_trials
from bench.analysis.summary import summarize
from bench.records.trial_record import TrialRecord
from bench.report.text.summary_table import text_table
from bench.report.text.table_formats import markdown, summary_frame
from tests.support.sample_records import make_run

STEP_S, FIXED_S = 0.002, 3.0
WINDOW, WINDOWS = 100, 8
BATCH, EPOCH_STEPS = 32, 171_875
SUITE: dict[str, Any] = {
    "name": "capped",
    "blocks": 3,
    "variant": {
        "epochs": 4,
        "examples": BATCH * EPOCH_STEPS + 7,
        "max_steps": WINDOW * WINDOWS,
        "global_batch_size": BATCH,
    },
    "matrix": {"norm": ["none", "bn_post"]},
    "compare": [{"axis": "norm", "baseline": "none"}],
}
_StepTime = Callable[[int], float]


def with_windows(step_s: _StepTime = lambda _: STEP_S, last: int = WINDOW) -> Any:
    """Return a ``change`` with windows: the n-th of an epoch takes ``step_s(n)`` per step."""

    def change(record: TrialRecord) -> TrialRecord:
        factor = 1.5 if record.trial.variant.norm == "bn_post" else 1.0
        rng = np.random.default_rng(record.trial.order)
        steps = [WINDOW] * (WINDOWS - 1) + [last]
        epochs = []
        for epoch in record.epochs:
            noise = np.exp(rng.normal(0, 0.001, WINDOWS))
            windows = [step_s(n) * k * factor * noise[n] for n, k in enumerate(steps)]
            windows[0] += FIXED_S
            update = {"window_s": tuple(windows), "epoch_s": sum(windows), "steps": sum(steps)}
            epochs.append(epoch.model_copy(update={**update, "examples": sum(steps) * BATCH}))
        return record.model_copy(update={"epochs": tuple(epochs)})

    return change


def test_fixed_cost_of_an_epoch_counts_once(tmp_path: Path) -> None:
    trials = load_trials(make_run(tmp_path / "run", SUITE, change=with_windows()).path)
    plain = trials[trials["norm"] == "none"]
    assert plain["epoch_s"].tolist() == pytest.approx(
        [EPOCH_STEPS * STEP_S + FIXED_S] * 3, rel=2e-3
    )
    rate = EPOCH_STEPS * BATCH / plain["epoch_s"]
    assert plain["examples_per_s"].tolist() == pytest.approx(rate.tolist())
    assert trials["extrapolated"].all()
    assert set(trials["steady"]) == {"flat"}


def test_epochs_keep_measured_times(tmp_path: Path) -> None:
    epochs = load_epochs(make_run(tmp_path / "run", SUITE, change=with_windows()).path)
    assert set(epochs["steps"]) == {WINDOW * WINDOWS}
    assert epochs["epoch_s"].max() < 2 * FIXED_S


def test_a_short_last_window_is_left_out(tmp_path: Path) -> None:
    short = {**SUITE, "variant": {**SUITE["variant"], "max_steps": WINDOW * (WINDOWS - 1) + 1}}
    change = with_windows(lambda n: STEP_S if n < WINDOWS - 1 else 1.0, last=1)
    trials = load_trials(make_run(tmp_path / "run", short, change=change).path)
    # The slow step ran, so its second counts once; it does not change the other steps.
    expected = (EPOCH_STEPS - 1) * STEP_S + 1.0 + FIXED_S
    plain = trials.loc[trials["norm"] == "none", "epoch_s"]
    assert plain.tolist() == pytest.approx([expected] * 3, rel=2e-3)


@pytest.mark.parametrize(
    ("change", "suite", "verdict", "unsettled"),
    [
        (with_windows(lambda n: STEP_S * (1 + 0.2 * n)), {}, "unsettled", 3),
        (with_windows(), {"epochs": 1}, "unclassified", 0),
    ],
    ids=["windows that grow", "few windows"],
)
def test_every_trial_with_windows_is_extrapolated_and_marked(
    change: Any, suite: dict[str, Any], verdict: str, unsettled: int, tmp_path: Path
) -> None:
    capped_suite = {**SUITE, "variant": {**SUITE["variant"], **suite}}
    folder = make_run(tmp_path / "run", capped_suite, change=change)
    trials = load_trials(folder.path)
    assert trials["epoch_s"].notna().all()
    assert set(trials["steady"]) == {verdict}
    summary = summarize(folder.path)
    assert [v.unsettled for v in summary.variants] == [unsettled] * 2
    comparison = summary.variants[1].comparisons[0]
    assert comparison is not None
    assert (comparison.unsettled_blocks, comparison.dropped_blocks) == (unsettled, 0)
    marks = "The windows of 3 of 3 trials drifted or never settled." in markdown(summary)
    assert marks == bool(unsettled)


def test_trial_without_windows_has_no_time(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", SUITE)
    trials = load_trials(folder.path)
    assert trials["epoch_s"].isna().all()
    assert trials["examples_per_s"].isna().all()
    assert trials["val_accuracy"].notna().all()
    summary = summarize(folder.path)
    assert [v.epoch_s for v in summary.variants] == [None, None]
    assert [v.untimed for v in summary.variants] == [3, 3]
    comparison = summary.variants[1].comparisons[0]
    assert comparison is not None
    assert comparison.dropped_blocks == 3
    assert "3 of 3 trials ran too few windows" in markdown(summary)


def test_extrapolated_time_is_marked_in_every_column(tmp_path: Path) -> None:
    summary = summarize(make_run(tmp_path / "run", SUITE, change=with_windows()).path)
    table = text_table(summary)
    note = "Extrapolated: 800 of the 171,875 steps of an epoch were run (max_steps)."
    footnote = table.notes.index(note) + 1
    for row in table.rows:
        marked = {h for h, cell in zip(table.headers, row, strict=True) if footnote in cell.notes}
        assert {"Epoch time (s)", "Throughput (k examples/s)"} <= marked
    assert footnote in table.rows[1][table.headers.index("Epoch time ÷ norm=none")].notes
    assert all(note in text for text in summary_frame(summary, table)["notes"])


def test_cap_above_a_whole_epoch_has_no_effect(tmp_path: Path) -> None:
    variant = {**SUITE["variant"], "examples": 6400}
    summary = summarize(make_run(tmp_path / "run", {**SUITE, "variant": variant}).path)
    assert [v.capped_steps for v in summary.variants] == [None, None]
    assert not load_trials(summary.run)["extrapolated"].any()
