"""Which variants share a panel, and which colour each has there.

Usage:
    grouped = group_series(run)
    grouped.frame.loc[variant_id, ["panel", "series"]]

Where a suite compares an axis of few values, each value is a series and the other axes make
panels. Else (listed variants, many values) each variant has a panel with its baseline in it.
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
    """``frame`` has ``variant_id``, ``panel`` and ``series``; a variant may be in several."""

    frame: pd.DataFrame
    title: str
    """What the series are: an axis, or ""."""
    names: tuple[str, ...]
    """The series, in order."""
    baseline: str | None
    """The series that the others are compared with."""


def group_series(run: ReportData) -> SeriesGroups:
    """Panels and series for all variants of ``run`` that have a record."""
    column = run.summary.columns[0] if run.summary.columns else None
    axis = column.axis if column else _smallest(run)
    if axis in run.axes and run.variants[axis].astype(str).nunique() <= len(PALETTE):
        baseline = column.baseline if column else None
        return _by_axis(run, axis, baseline)
    return _each_with_its_baseline(run)


def context(run: ReportData, *without: str) -> "pd.Series[str]":
    """By variant id, the axes in which it differs from others, but for ``without``."""
    axes = [axis for axis in run.axes if axis not in without]
    parts = [f"{axis}=" + run.variants[axis].map(_shown) for axis in axes]
    texts = run.variants["label"].map(lambda _: "")
    for part in parts:
        texts = texts.where(texts == "", texts + ", ") + part
    return texts.map(shorten_label)


def chart_labels(run: ReportData) -> "pd.Series[str]":
    """By variant id, its label short enough for a chart, each another one."""
    texts = run.variants["label"].map(shorten_label)
    ids = texts.index.to_series().str[:6]
    return texts.where(~texts.duplicated(keep=False), texts + " (" + ids + ")")


def shorten_label(label: str) -> str:
    """``label`` on one line, cut where it would push a chart off the page."""
    text = plain(label)
    return text if len(text) <= MAX_LABEL else f"{text[: MAX_LABEL - 1]}…"


def wrap_label(label: str) -> str:
    """``label`` on lines of some forty characters, broken after a comma where there is one."""
    lines = textwrap.wrap(label.replace(", ", ",\n"), LINE, replace_whitespace=False)
    return "\n".join(_joined([part for line in lines for part in line.split("\n")]))


def _joined(parts: list[str]) -> list[str]:
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + len(part) < LINE:
            lines[-1] += f" {part}"
        else:
            lines.append(part)
    return lines


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _smallest(run: ReportData) -> str:
    counts = {axis: run.variants[axis].astype(str).nunique() for axis in run.axes}
    return min(counts, key=counts.__getitem__, default="")


def _by_axis(run: ReportData, axis: str, baseline: str | None) -> SeriesGroups:
    series = run.variants[axis].map(_shown)
    names = tuple(dict.fromkeys(series))
    frame = series.rename("series").to_frame().assign(panel=context(run, axis)).reset_index()
    return SeriesGroups(frame, axis, names, baseline if baseline in names else None)


def _each_with_its_baseline(run: ReportData) -> SeriesGroups:
    names_of = chart_labels(run)
    own = names_of.rename("panel").to_frame().assign(series=THIS).reset_index()
    known = [
        (pair.baseline_id, names_of[pair.variant_id], BASELINE)
        for pair in run.pairs
        if pair.variant_id in names_of.index and pair.baseline_id in names_of.index
    ]
    theirs = pd.DataFrame(known, columns=["variant_id", "panel", "series"]).drop_duplicates()
    own = own[~own["variant_id"].isin(theirs["variant_id"])] if len(theirs) else own
    names = (THIS, BASELINE) if len(theirs) else (THIS,)
    return SeriesGroups(pd.concat([own, theirs]), "", names, BASELINE if len(theirs) else None)
