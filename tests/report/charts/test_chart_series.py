"""Labels short enough for a chart, and still each another one."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from bench.report.charts.chart_series import (
    MAX_LABEL,
    chart_labels,
    group_series,
    shorten_label,
    wrap_label,
)
from tests.support.sample_pages import read
from tests.support.sample_records import NORMS, made_run


@given(st.text())
def test_a_short_label_is_one_line_of_limited_length(label: str) -> None:
    assert len(shorten_label(label)) <= MAX_LABEL
    assert "\n" not in shorten_label(label)


@given(st.text(st.sampled_from("ab=,é "), max_size=90))
def test_wrapping_loses_nothing_but_spaces(label: str) -> None:
    text = shorten_label(label)
    assert "".join(wrap_label(text).split()) == "".join(text.split())


def test_labels_that_are_cut_to_the_same_stay_apart(tmp_path: Path) -> None:
    long = "x" * 200
    suite = {
        "name": "long",
        "variants": [{"label": f"{long}a"}, {"label": f"{long}b", "norm": "layer"}],
    }
    names = chart_labels(read(made_run(tmp_path / "run", suite)))
    assert names.nunique() == 2


def test_the_compared_axis_makes_the_series_and_the_others_the_panels(tmp_path: Path) -> None:
    suite = {**NORMS, "matrix": {**NORMS["matrix"], "global_batch_size": [32, 64]}}
    grouped = group_series(read(made_run(tmp_path / "run", suite)))
    assert (grouped.title, grouped.baseline) == ("norm", "none")
    assert grouped.names == ("none", "bn_post", "bn_pre")
    assert set(grouped.frame["panel"]) == {"global_batch_size=32", "global_batch_size=64"}
