"""Every chart shows the records' own numbers, and says what it leaves out."""

from pathlib import Path
from typing import Any

import pytest

from bench.report.charts.all_figures import figures
from bench.report.charts.epoch_times import MAX_POINTS
from bench.report.charts.figure import Figure
from bench.report.charts.report_data import ReportData
from tests.support.sample_pages import HOSTILE, learned, read, sweep_run
from tests.support.sample_records import NORMS, made_run, no_record


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> ReportData:
    return read(sweep_run(tmp_path_factory.mktemp("charts") / "sweep"))


@pytest.fixture(scope="module")
def drawn(sweep: ReportData) -> dict[str, Figure]:
    return {figure.name: figure for figure in figures(sweep)}


def rows(figure: Figure) -> list[dict[str, Any]]:
    """All rows of data in a specification."""
    return [row for data in figure.spec["datasets"].values() for row in data]


def test_a_run_over_sizes_has_every_chart(drawn: dict[str, Figure]) -> None:
    assert list(drawn) == [
        "ratios-1",
        "ratios-1-by-examples",
        "ratios-1-by-global-batch-size",
        "effects",
        "frontier",
        "learning-curves",
        "epoch-times",
        *("health-1", "health-2", "health-3", "health-4"),
    ]


def test_each_has_words_for_those_who_do_not_see_it(drawn: dict[str, Figure]) -> None:
    for figure in drawn.values():
        assert len(figure.about) > 40
        assert figure.rows
        assert {len(row) for row in figure.rows} == {len(figure.headers)}


def test_ratios_are_those_of_the_summary(sweep: ReportData, drawn: dict[str, Figure]) -> None:
    compared = [v.comparisons[0] for v in sweep.summary.variants]
    expected = [c.ratio for c in compared if c is not None and c.ratio is not None]
    shown = rows(drawn["ratios-1"])
    assert [row["ratio"] for row in shown] == [r.value for r in expected]
    assert [row["low"] for row in shown] == [r.low for r in expected]
    assert [row["blocks"] for row in shown] == [r.blocks for r in expected]


def test_simultaneous_ends_enclose_each_interval(drawn: dict[str, Figure]) -> None:
    shown = rows(drawn["ratios-1-by-examples"])
    assert {row["x"] for row in shown} == {5_500, 55_000}
    assert {row["panel"] for row in shown} == {"global_batch_size=32", "global_batch_size=512"}
    for row in shown:
        assert row["least"] < row["low"] < row["ratio"] < row["high"] < row["most"]


def test_warm_ups_are_marked_in_the_strips(sweep: ReportData, drawn: dict[str, Figure]) -> None:
    shown = rows(drawn["epoch-times"])
    done = sweep.epochs_of_variants
    assert sum(row["kind"] == "warm-up" for row in shown) == int(done["warmup"].sum())
    assert len(shown) == len(done)


def test_many_epochs_are_thinned_out_by_rank_and_extremes_stay(tmp_path: Path) -> None:
    suite = {"name": "long", "variant": {"epochs": 700}}
    folder = made_run(tmp_path / "run", suite, epoch_s=lambda _, epoch: 1 + (epoch * 37 % 701))
    run = read(folder)
    figure = {f.name: f for f in figures(run)}["epoch-times"]
    steady = sorted(row["time"] for row in rows(figure) if row["kind"] == "steady")
    known = run.epochs.loc[~run.epochs["warmup"], "epoch_s"]
    assert len(steady) <= MAX_POINTS
    assert (steady[0], steady[-1]) == (known.min(), known.max())
    assert "chosen evenly by rank" in figure.omission_note


def test_curves_are_means_over_completed_trials(
    sweep: ReportData, drawn: dict[str, Figure]
) -> None:
    epochs = sweep.epochs_of_variants
    means = epochs.groupby(["variant_id", "epoch"])["val_accuracy"].mean()
    for row in rows(drawn["learning-curves"]):
        assert row["mean"] == pytest.approx(means[row["variant_id"], row["epoch"]])
        assert 0 <= row["low"] <= row["mean"] <= row["high"] <= 1


def test_listed_variants_each_have_a_panel_with_their_baseline(tmp_path: Path) -> None:
    run = read(made_run(tmp_path / "run", HOSTILE))
    figure = {f.name: f for f in figures(run)}["learning-curves"]
    panels: dict[str, set[str]] = {}
    for row in rows(figure):
        panels.setdefault(row["panel"], set()).add(row["series"])
    assert len(panels) == 4
    assert all(series == {"this variant", "its baseline"} for series in panels.values())


def test_an_endless_interval_does_not_flatten_the_others(tmp_path: Path) -> None:
    seconds = {0: 0.5, 1: 50.0}
    suite = {**NORMS, "blocks": 2}
    folder = made_run(
        tmp_path / "run",
        suite,
        epoch_s=lambda t, _: seconds[t.block] if t.variant.norm == "bn_pre" else 0.5,
    )
    shown = rows({f.name: f for f in figures(read(folder))}["ratios-1"])
    wide = next(row for row in shown if row["label"] == "norm=bn_pre")
    assert wide["high"] > 1000
    assert wide["high_shown"] == pytest.approx(4 * wide["ratio"])
    assert f"{wide['high']:.0f}" in wide["text"]


def test_without_epochs_there_is_nothing_to_draw(tmp_path: Path) -> None:
    assert not list(figures(read(made_run(tmp_path / "run", change=no_record))))


def test_one_variant_alone_still_has_its_curve_and_its_strip(tmp_path: Path) -> None:
    run = read(made_run(tmp_path / "run", {"name": "one"}))
    assert [f.name for f in figures(run)] == ["learning-curves", "epoch-times"]


def test_synthetic_data_has_no_frontier(tmp_path: Path) -> None:
    suite = {**NORMS, "variant": {"dataset": "synthetic"}}
    names = [f.name for f in figures(read(made_run(tmp_path / "run", suite)))]
    assert "ratios-1" in names
    assert "frontier" not in names


def test_a_baseline_that_is_a_switch_is_found(tmp_path: Path) -> None:
    suite = {
        **NORMS,
        "matrix": {"deterministic": [True, False], "global_batch_size": [32, 64]},
        "compare": [{"axis": "deterministic", "baseline": False}],
    }
    drawn = {f.name: f for f in figures(read(made_run(tmp_path / "run", suite, change=learned)))}
    assert {row["series"] for row in rows(drawn["ratios-1-by-global-batch-size"])} == {"True"}
