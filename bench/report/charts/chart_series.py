"""Assign variants to the panels of a chart and to the series (colours) in a panel.

Usage:
    groups = group_series(run)
    groups.frame[["variant_id", "panel", "series"]]

If a suite compares an axis of few values, each value is a series and the other axes make the
panels. Otherwise (listed variants, many values), each variant has a panel with its baseline.
"""

import textwrap
from dataclasses import dataclass

import pandas as pd

from bench.report.charts.chart_theme import PALETTE
from bench.report.charts.report_data import ReportData
from bench.report.text.escaping import plain

MAX_LABEL, LINE = 90, 44
THIS, BASELINE = "this variant", "its baseline"


@dataclass(frozen=True)
class SeriesGroups:
    """``frame`` has ``variant_id``, ``panel`` and ``series``; a variant may be in many panels."""

    frame: pd.DataFrame
    title: str
    """The axis whose values are the series, or ""."""
    names: tuple[str, ...]
    """The names of the series, in order."""
    baseline: str | None
    """The series that the others are compared with."""


def group_series(run: ReportData) -> SeriesGroups:
    """Assign panels and series to all variants of ``run`` that have a record."""
    column = run.summary.columns[0] if run.summary.columns else None
    axis = column.axis if column else _smallest_axis(run)
    if axis in run.axes and run.variants[axis].astype(str).nunique() <= len(PALETTE):
        baseline = column.baseline if column else None
        return _series_by_axis(run, axis, baseline)
    return _variants_with_baselines(run)


def _panel_names(run: ReportData, series_axis: str) -> "pd.Series[str]":
    """Return each variant's values of all axes but ``series_axis``, by variant id."""
    axes = [axis for axis in run.axes if axis != series_axis]
    parts = [f"{axis}=" + run.variants[axis].map(_value_text) for axis in axes]
    texts = run.variants["label"].map(lambda _: "")
    for part in parts:
        texts = texts.where(texts == "", texts + ", ") + part
    return texts.map(shorten_label)


def chart_labels(run: ReportData) -> "pd.Series[str]":
    """Return labels that are short enough for a chart and unique, by variant id."""
    texts = run.variants["label"].map(shorten_label)
    ids = texts.index.to_series().str[:6]
    return texts.where(~texts.duplicated(keep=False), texts + " (" + ids + ")")


def shorten_label(label: str) -> str:
    """Put ``label`` on one line, and truncate it if it is too wide for a chart."""
    text = plain(label)
    return text if len(text) <= MAX_LABEL else f"{text[: MAX_LABEL - 1]}…"


def wrap_label(label: str) -> str:
    """Wrap ``label`` at about forty characters, if possible after a comma."""
    lines = textwrap.wrap(label.replace(", ", ",\n"), LINE, replace_whitespace=False)
    return "\n".join(_fill_lines([part for line in lines for part in line.split("\n")]))


def _fill_lines(parts: list[str]) -> list[str]:
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + len(part) < LINE:
            lines[-1] += f" {part}"
        else:
            lines.append(part)
    return lines


def _value_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _smallest_axis(run: ReportData) -> str:
    counts = {axis: run.variants[axis].astype(str).nunique() for axis in run.axes}
    return min(counts, key=counts.__getitem__, default="")


def _series_by_axis(run: ReportData, axis: str, baseline: str | None) -> SeriesGroups:
    series = run.variants[axis].map(_value_text)
    names = tuple(dict.fromkeys(series))
    frame = series.rename("series").to_frame().assign(panel=_panel_names(run, axis)).reset_index()
    return SeriesGroups(frame, axis, names, baseline if baseline in names else None)


def _variants_with_baselines(run: ReportData) -> SeriesGroups:
    labels = chart_labels(run)
    variants = labels.rename("panel").to_frame().assign(series=THIS).reset_index()
    rows = [
        (pair.baseline_id, labels[pair.variant_id], BASELINE)
        for pair in run.pairs
        if pair.variant_id in labels.index and pair.baseline_id in labels.index
    ]
    baselines = pd.DataFrame(rows, columns=["variant_id", "panel", "series"]).drop_duplicates()
    if baselines.empty:
        return SeriesGroups(pd.concat([variants, baselines]), "", (THIS,), None)
    variants = variants[~variants["variant_id"].isin(baselines["variant_id"])]
    return SeriesGroups(pd.concat([variants, baselines]), "", (THIS, BASELINE), BASELINE)
