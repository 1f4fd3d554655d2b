"""Every chart shows the numbers of the records, and says what it leaves out."""

from pathlib import Path
from typing import Any

import pytest

from bench.report.charts.all_figures import figures
from bench.report.charts.epoch_times import MAX_POINTS
from bench.report.charts.figure import Figure
from bench.report.charts.report_data import ReportData
from tests.support.sample_pages import HOSTILE, learned, read, sweep_run
from tests.support.sample_records import NORMS, make_run, no_record


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> ReportData:
    return read(sweep_run(tmp_path_factory.mktemp("charts") / "sweep"))


@pytest.fixture(scope="module")
def charts(sweep: ReportData) -> dict[str, Figure]:
    return {figure.name: figure for figure in figures(sweep)}


def rows(figure: Figure) -> list[dict[str, Any]]:
    """Return all rows of data in a specification."""
    return [row for data in figure.spec["datasets"].values() for row in data]


def test_a_run_over_sizes_has_every_chart(charts: dict[str, Figure]) -> None:
    assert list(charts) == [
        "ratios-1",
        "ratios-1-by-examples",
        "ratios-1-by-global-batch-size",
        "effects",
        "frontier",
        "learning-curves",
        "epoch-times",
        *("health-1", "health-2", "health-3", "health-4"),
    ]


def test_each_chart_has_a_text_alternative_and_a_table(charts: dict[str, Figure]) -> None:
    for figure in charts.values():
        assert len(figure.about) > 40
        assert figure.rows
        assert {len(row) for row in figure.rows} == {len(figure.headers)}


def test_ratios_equal_those_of_the_summary(sweep: ReportData, charts: dict[str, Figure]) -> None:
    compared = [v.comparisons[0] for v in sweep.summary.variants]
    expected = [c.ratio for c in compared if c is not None and c.ratio is not None]
    every = rows(charts["ratios-1"])
    shown = [row for row in every if "low" in row]
    assert [row["ratio"] for row in shown] == [r.value for r in expected]
    assert [row["low"] for row in shown] == [r.low for r in expected]
    assert [row["blocks"] for row in shown] == [r.blocks for r in expected]
    in_blocks = [row["ratio"] for row in every if "block" in row]
    assert in_blocks == [b.ratio for c in compared if c is not None for b in c.block_ratios]


def test_simultaneous_intervals_enclose_individual_ones(charts: dict[str, Figure]) -> None:
    shown = rows(charts["ratios-1-by-examples"])
    assert {row["x"] for row in shown} == {5_500, 55_000}
    assert {row["panel"] for row in shown} == {"global_batch_size=32", "global_batch_size=512"}
    for row in shown:
        assert row["least"] < row["low"] < row["ratio"] < row["high"] < row["most"]


def test_warm_up_epochs_are_marked(sweep: ReportData, charts: dict[str, Figure]) -> None:
    shown = rows(charts["epoch-times"])
    epochs = sweep.epochs_of_variants
    assert sum(row["kind"] == "warm-up" for row in shown) == int(epochs["warmup"].sum())
    assert len(shown) == len(epochs)


def test_many_epochs_are_thinned_out_by_rank_and_extremes_are_kept(tmp_path: Path) -> None:
    suite = {"name": "long", "variant": {"epochs": 700}}
    folder = make_run(tmp_path / "run", suite, epoch_s=lambda _, epoch: 1 + (epoch * 37 % 701))
    run = read(folder)
    figure = {f.name: f for f in figures(run)}["epoch-times"]
    steady = sorted(row["time"] for row in rows(figure) if row["kind"] == "steady")
    times = run.epochs.loc[~run.epochs["warmup"], "epoch_s"]
    assert len(steady) <= MAX_POINTS
    assert (steady[0], steady[-1]) == (times.min(), times.max())
    assert "chosen evenly by rank" in figure.omission_note


def test_curves_are_means_over_completed_trials(
    sweep: ReportData, charts: dict[str, Figure]
) -> None:
    epochs = sweep.epochs_of_variants
    means = epochs.groupby(["variant_id", "epoch"])["val_accuracy"].mean()
    for row in rows(charts["learning-curves"]):
        assert row["mean"] == pytest.approx(means[row["variant_id"], row["epoch"]])
        assert 0 <= row["low"] <= row["mean"] <= row["high"] <= 1


def test_each_listed_variant_has_a_panel_with_its_baseline(tmp_path: Path) -> None:
    run = read(make_run(tmp_path / "run", HOSTILE))
    figure = {f.name: f for f in figures(run)}["learning-curves"]
    panels: dict[str, set[str]] = {}
    for row in rows(figure):
        panels.setdefault(row["panel"], set()).add(row["series"])
    assert len(panels) == 4
    assert all(series == {"this variant", "its baseline"} for series in panels.values())


def test_a_very_wide_interval_does_not_flatten_the_others(tmp_path: Path) -> None:
    seconds = {0: 0.5, 1: 50.0, 2: 0.5}
    folder = make_run(
        tmp_path / "run",
        epoch_s=lambda t, _: seconds[t.block] if t.variant.norm == "bn_pre" else 0.5,
    )
    shown = rows({f.name: f for f in figures(read(folder))}["ratios-1"])
    assert max(row["shown"] for row in shown if "block" in row) < 50
    wide = next(row for row in shown if row["label"] == "norm=bn_pre" and "low" in row)
    assert wide["high"] > 1000
    assert wide["high_shown"] == pytest.approx(4 * wide["ratio"])
    assert f"{wide['high']:.0f}" in wide["text"]


def test_without_epochs_there_are_no_charts(tmp_path: Path) -> None:
    assert not list(figures(read(make_run(tmp_path / "run", change=no_record))))


def test_a_single_variant_has_a_learning_curve_and_epoch_times(tmp_path: Path) -> None:
    run = read(make_run(tmp_path / "run", {"name": "one"}))
    assert [f.name for f in figures(run)] == ["learning-curves", "epoch-times"]


def test_synthetic_data_has_no_frontier(tmp_path: Path) -> None:
    suite = {**NORMS, "variant": {"dataset": "synthetic"}}
    names = [f.name for f in figures(read(make_run(tmp_path / "run", suite)))]
    assert "ratios-1" in names
    assert "frontier" not in names


def test_a_boolean_baseline_is_recognized(tmp_path: Path) -> None:
    suite = {
        **NORMS,
        "matrix": {"deterministic": [True, False], "global_batch_size": [32, 64]},
        "compare": [{"axis": "deterministic", "baseline": False}],
    }
    charts = {f.name: f for f in figures(read(make_run(tmp_path / "run", suite, change=learned)))}
    assert {row["series"] for row in rows(charts["ratios-1-by-global-batch-size"])} == {"True"}
