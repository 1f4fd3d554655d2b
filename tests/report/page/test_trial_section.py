"""The page's data of each trial are complete, compact and bounded."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.report.page import trial_section
from bench.report.page.trial_section import TrialTable
from tests.support.sample_pages import LOG, hostile_run, read, sweep_run


def test_each_trial_has_a_row_and_its_epochs_in_order(tmp_path: Path) -> None:
    run = read(sweep_run(tmp_path / "run"))
    table = TrialTable([run])
    grid, details = table.grid(), table.details()
    assert list(grid.keys) == run.trials["trial_id"].tolist()
    assert sum(details["epochCounts"]) == len(run.epochs) == len(details["epochs"]["epoch_s"])
    start = sum(details["epochCounts"][:5])
    epochs = run.epochs[run.epochs["trial_id"] == grid.keys[5]]
    shown = details["epochs"]["epoch_s"][start : start + details["epochCounts"][5]]
    assert shown == pytest.approx(epochs["epoch_s"].tolist(), rel=1e-4)
    assert details["variants"]["values"].keys() == set(details["variantKeys"])


def test_the_throughput_of_a_trial_matches_its_epoch_time(tmp_path: Path) -> None:
    run = read(sweep_run(tmp_path / "run"))
    frame = TrialTable([run]).frame
    completed = frame[frame["epoch_s"].notna()]
    batch = completed["global_batch_size"]
    used = completed["examples"] // batch * batch
    assert (completed["examples_per_s"] * completed["epoch_s"]).tolist() == pytest.approx(
        used.tolist()
    )


def test_only_a_failed_trial_has_a_log(tmp_path: Path) -> None:
    run = read(sweep_run(tmp_path / "run"))
    logs = TrialTable([run]).details()["logs"]
    assert list(logs.values()) == [LOG]
    assert run.trials["status"].iloc[int(next(iter(logs)))] == "failed"


def test_trials_of_several_runs_have_distinct_keys(tmp_path: Path) -> None:
    runs = [read(sweep_run(tmp_path / "a")), read(hostile_run(tmp_path / "b"))]
    keys = TrialTable(runs).keys()
    assert len(set(keys)) == len(keys)
    assert {key.split("/")[0] for key in keys} == {"a", "b"}


def test_too_many_trials_leave_out_completed_ones_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = read(sweep_run(tmp_path / "run"))
    monkeypatch.setattr(trial_section, "MAX_TRIALS", 10)
    table = TrialTable([run])
    statuses = table.frame["status"].tolist()
    assert len(statuses) == 10
    assert {"failed", "out_of_memory"} <= set(statuses)
    assert table.omission_note() == "10 of 48 trials are shown: the run folder has all."
    assert sum(table.details()["epochCounts"]) <= len(run.epochs)


def test_too_many_epochs_are_cut_and_the_counts_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = read(sweep_run(tmp_path / "run"))
    monkeypatch.setattr(trial_section, "MAX_EPOCHS", 20)
    monkeypatch.setattr(trial_section, "MAX_LOGS", 0)
    table = TrialTable([run])
    details = table.details()
    assert len(details["epochs"]["epoch"]) == sum(details["epochCounts"]) == 20
    assert details["logs"] == {}
    counts = f"20 of {len(run.epochs)} epochs are shown; 0 of 1 logs are shown"
    assert table.omission_note() == f"{counts}: the run folder has all."


@given(st.lists(st.one_of(st.floats(), st.integers(-(10**9), 10**9).map(float)), max_size=20))
def test_columns_are_rounded_as_single_values_are(numbers: list[float]) -> None:
    values = [x if 1e-290 < abs(x) < 1e300 or not math.isfinite(x) else 0.0 for x in numbers]
    column = trial_section._rounded(np.array(values, dtype=float))
    for ours, single in zip(column, map(trial_section._value, values), strict=True):
        assert type(ours) is type(single)
        assert ours == single or ours == pytest.approx(single, rel=2 * 10.0**-trial_section.DIGITS)
