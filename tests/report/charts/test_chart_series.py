"""Labels are short and unique, and variants share panels by axis."""

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
from tests.support.sample_records import NORMS, make_run


@given(st.text())
def test_a_shortened_label_is_one_line_of_limited_length(label: str) -> None:
    assert len(shorten_label(label)) <= MAX_LABEL
    assert "\n" not in shorten_label(label)


@given(st.text(st.sampled_from("ab=,é "), max_size=90))
def test_wrapping_keeps_all_but_spaces(label: str) -> None:
    text = shorten_label(label)
    assert "".join(wrap_label(text).split()) == "".join(text.split())


def test_labels_with_the_same_beginning_stay_unique(tmp_path: Path) -> None:
    long = "x" * 200
    suite = {
        "name": "long",
        "variants": [{"label": f"{long}a"}, {"label": f"{long}b", "norm": "layer"}],
    }
    labels = chart_labels(read(make_run(tmp_path / "run", suite)))
    assert labels.nunique() == 2


def test_the_compared_axis_makes_the_series_and_the_others_the_panels(tmp_path: Path) -> None:
    suite = {**NORMS, "matrix": {**NORMS["matrix"], "global_batch_size": [32, 64]}}
    groups = group_series(read(make_run(tmp_path / "run", suite)))
    assert (groups.title, groups.baseline) == ("norm", "none")
    assert groups.names == ("none", "bn_post", "bn_pre")
    assert set(groups.frame["panel"]) == {"global_batch_size=32", "global_batch_size=64"}
