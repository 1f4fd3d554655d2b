"""Layer health by depth: lines, edge marks, and notes on what is left out."""

import itertools
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.analysis.questions.layer_health_frame import load_health
from bench.records.health_record import HealthRecord
from bench.records.trial_record import TrialRecord
from bench.report.charts.depth_data import MAX_DEPTHS, evenly_spaced
from bench.report.charts.figure import Figure
from bench.report.charts.layer_health_chart import MAX_FIGURES, MAX_LINES, health_figures
from bench.report.charts.rendering import as_svg
from tests.support.sample_pages import read
from tests.support.sample_records import NORMS, looked_at, make_run

SUITE: dict[str, Any] = {**NORMS, "variant": {"epochs": 3, "health_epochs": [0, -1]}}
Change = Callable[[TrialRecord], TrialRecord]


def health_charts(
    path: Path, suite: dict[str, Any] = SUITE, change: Change = looked_at
) -> list[Figure]:
    return list(health_figures(read(make_run(path, suite, change=change))))


def rows_of(figure: Figure) -> Iterator[dict[str, Any]]:
    for data in figure.spec["datasets"].values():
        yield from data


def change_health(change: Callable[[HealthRecord], HealthRecord]) -> Change:
    def changed(record: TrialRecord) -> TrialRecord:
        health = tuple(map(change, looked_at(record).health))
        return record.model_copy(update={"health": health})

    return changed


def test_lines_are_medians_over_trials_by_variant_and_moment(tmp_path: Path) -> None:
    (figure,) = health_charts(tmp_path / "run")
    health = load_health(tmp_path / "run").query("kind == 'dense'")
    medians = health.groupby(["label", "after_epochs", "depth"])["gradient_norm"].median()
    epochs = {"before training": 0, "after 3 epochs": 3}
    drawn = [row for row in rows_of(figure) if row["quantity"] == "Gradient norm"]
    assert len(drawn) == len(medians) == 3 * 2 * 3
    for row in drawn:
        key = f"norm={row['series']}", epochs[row["moment"]], row["depth"]
        assert row["shown"] == pytest.approx(medians[key])


def test_each_quantity_is_drawn_for_its_kinds_of_layers(tmp_path: Path) -> None:
    (figure,) = health_charts(tmp_path / "run")
    depths: dict[str, set[int]] = {}
    for row in rows_of(figure):
        depths.setdefault(row["quantity"], set()).add(row["depth"])
    assert depths == {
        "Gradient norm": {1, 2, 3},
        "Activation variance": {1, 2},
        "Activation mean": {1, 2},
        "Saturated or dead": {1, 2},
    }


def test_zero_and_values_that_are_not_finite_are_marked_at_the_edges(tmp_path: Path) -> None:
    values: dict[int, float] = {0: 0.0, 3: math.inf}

    def extreme(look: HealthRecord) -> HealthRecord:
        norm = tuple(v and values[look.after_epochs] for v in look.gradient_norm)
        return look.model_copy(update={"gradient_norm": norm})

    (figure,) = health_charts(tmp_path / "run", change=change_health(extreme))
    norms = [row for row in rows_of(figure) if row["quantity"] == "Gradient norm"]
    assert {(row["moment"], row["shown"], row["edge"], row["text"]) for row in norms} == {
        ("before training", None, "0", "0"),
        ("after 3 epochs", None, "×", "not finite"),
    }
    places = [row["place"] for row in norms]
    assert len(set(places)) == 9  # three depths, three variants beside each other
    assert {row[3] for row in figure.rows if row[1] == "after 3 epochs"} == {"∞"}
    svg = as_svg(figure.spec, figure.name)
    assert svg.count(">×<") == svg.count(">0<") - axis_zeros(svg) == 9


def axis_zeros(svg: str) -> int:
    """Count the axis labels that read 0; those of the lower edge are bold."""
    return sum(">0<" in part and "bold" not in part for part in svg.split("<text")[1:])


def test_an_exploding_mean_does_not_flatten_the_others(tmp_path: Path) -> None:
    def far(look: HealthRecord) -> HealthRecord:
        mean = tuple(v and v * 1e12 for v in look.output_mean)
        return look.model_copy(update={"output_mean": mean})

    one, other = (
        next(iter(health_charts(tmp_path / str(i), change=change)))
        for i, change in enumerate((looked_at, change_health(far)))
    )
    assert "symlog" not in str(one.spec)
    assert "symlog" in str(other.spec)


def test_without_layer_health_there_is_no_chart(tmp_path: Path) -> None:
    plain = {**SUITE, "variant": {"epochs": 3}}
    assert health_charts(tmp_path / "run", plain) == []


def test_layer_health_can_be_recorded_only_before_training(tmp_path: Path) -> None:
    suite = {**SUITE, "variant": {"epochs": 3, "health_epochs": [0]}}
    (figure,) = health_charts(tmp_path / "run", suite)
    assert {row["moment"] for row in rows_of(figure)} == {"before training"}
    assert figure.omission_note == ""


def test_a_variant_that_ended_early_is_drawn_before_training_and_noted(tmp_path: Path) -> None:
    def ending(record: TrialRecord) -> TrialRecord:
        trained = looked_at(record)
        if record.trial.variant.norm != "none":
            return trained
        return trained.model_copy(update={"status": "diverged", "health": trained.health[:1]})

    (figure,) = health_charts(tmp_path / "run", change=ending)
    moments = {row["moment"] for row in rows_of(figure) if row["series"] == "none"}
    assert moments == {"before training"}
    assert figure.omission_note == (
        "1 variant ended before the measurement after training: "
        "bench.load_health has all measurements."
    )


@pytest.mark.slow
def test_many_variants_make_several_charts_and_a_note(tmp_path: Path) -> None:
    count = MAX_FIGURES * MAX_LINES + 1
    suite = {**SUITE, "blocks": 1, "compare": [], "matrix": {}}
    suite["variants"] = [{"label": f"v{i}", "learning_rate": 0.1 / (i + 1)} for i in range(count)]
    charts = health_charts(tmp_path / "run", suite)
    assert [figure.name for figure in charts] == [f"health-{i + 1}" for i in range(MAX_FIGURES)]
    assert all(f.omission_note.startswith("6 of 7 groups of variants are drawn") for f in charts)
    assert len({row["series"] for figure in charts for row in rows_of(figure)}) == count - 1


def test_listed_variants_are_spread_evenly(tmp_path: Path) -> None:
    suite = {**SUITE, "blocks": 1, "compare": [], "matrix": {}}
    suite["variants"] = [{"label": f"v{i}", "learning_rate": 0.1 / (i + 1)} for i in range(8)]
    charts = health_charts(tmp_path / "run", suite)
    assert [len({row["series"] for row in rows_of(figure)}) for figure in charts] == [4, 4]


def test_networks_of_different_depths_have_separate_charts(tmp_path: Path) -> None:
    suite = {**SUITE, "blocks": 1, "compare": [], "matrix": {"norm": ["none", "bn_pre"]}}
    suite["matrix"]["depth"] = [1, 10]
    charts = health_charts(tmp_path / "run", suite)
    series = [sorted({row["series"] for row in rows_of(figure)}) for figure in charts]
    assert series == [[f"norm={n}, depth={d}" for n in ("bn_pre", "none")] for d in (1, 10)]


@pytest.mark.parametrize("size", [1e-300, 3e-1, 1.0, 3e300])
def test_values_of_any_magnitude_have_an_axis(tmp_path: Path, size: float) -> None:
    def sized(look: HealthRecord) -> HealthRecord:
        variance = tuple(v and size for v in look.output_variance)
        return look.model_copy(update={"output_variance": variance})

    (figure,) = health_charts(tmp_path / "run", change=change_health(sized))
    (panel, _) = (p for p in figure.spec["concat"] if "variance" in p["title"]["text"])
    low, high = panel["layer"][0]["encoding"]["y"]["scale"]["domain"]
    assert 0 < low < size < high < math.inf


def test_many_depths_are_thinned_out_evenly(tmp_path: Path) -> None:
    def deep(look: HealthRecord) -> HealthRecord:
        lists = {
            name: (value[1:3] * 101)[:201]
            for name, value in look.model_dump().items()
            if isinstance(value, tuple)
        }
        lists["depth"] = tuple(1 + i // 2 for i in range(201))
        return HealthRecord.model_validate({**lists, "after_epochs": look.after_epochs})

    (figure,) = health_charts(tmp_path / "run", change=change_health(deep))
    depths = sorted({row["depth"] for row in rows_of(figure)})
    assert (depths[0], depths[-1], len(depths)) == (1, 101, MAX_DEPTHS)
    assert "50 of 101 depths are drawn, evenly chosen" in figure.omission_note
    assert len(figure.rows) <= 500


@pytest.mark.parametrize("count", [1, 2, 9, 10, 11, 100])
def test_evenly_spaced_values_include_both_ends(count: int) -> None:
    chosen = evenly_spaced(list(range(count)), 10)
    assert len(chosen) == min(count, 10)
    assert (chosen[0], chosen[-1]) == (0, count - 1)
    steps = {b - a for a, b in itertools.pairwise(chosen)}
    assert max(steps, default=0) - min(steps, default=0) <= 1
