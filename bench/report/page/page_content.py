"""Collect the content of the page, section by section, for its template.

Usage:
    content = page_content(runs, drawings)
    content.data()                          # embedded as JSON
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.report.charts.figure import Figure
from bench.report.charts.rendering import Drawing
from bench.report.charts.report_data import ReportData
from bench.report.charts.trial_chart import trial_spec
from bench.report.page.answer_text import answer
from bench.report.page.claim_section import claims, claims_grid
from bench.report.page.cost_section import costs_grid
from bench.report.page.failure_section import Failure, failures, failures_omission_note
from bench.report.page.page_grid import Grid, grid_from_table
from bench.report.page.side_by_side import side_by_side
from bench.report.page.trial_section import TrialTable
from bench.report.text.report_header import header_facts
from bench.report.text.secondary_table import TITLE, secondary_notes, secondary_table
from bench.report.text.summary_table import text_table
from bench.report.text.table_notes import table_notes


@dataclass(frozen=True)
class EmbeddedFigure:
    """A drawing of a run; ``key`` is unique in the page."""

    key: str
    figure: Figure
    svg: str


@dataclass(frozen=True)
class RunContent:
    """The part of one run in each section."""

    key: str
    name: str
    title: str
    description: str
    answer: str
    claims: Grid | None
    grids: tuple[Grid, ...]
    notes: tuple[str, ...]
    figures: tuple[EmbeddedFigure, ...]
    failures: tuple[Failure, ...]
    failures_omission_note: str
    facts: tuple[tuple[str, str], ...]
    suite: str
    """The suite as JSON."""


@dataclass(frozen=True)
class PageContent:
    """The content of the whole page."""

    title: str
    runs: tuple[RunContent, ...]
    sides: Grid | None
    trials: Grid
    trials_omission_note: str
    details: dict[str, Any]

    def grids(self) -> list[Grid]:
        """Return all tables that the script makes interactive."""
        grids = [grid for run in self.runs for grid in (run.claims, *run.grids)]
        return [grid for grid in (*grids, self.sides, self.trials) if grid is not None]

    def figure_rows(self) -> list[list[tuple[str, EmbeddedFigure]]]:
        """Return rows of the same figure of each run, with the name of the run."""
        names = dict.fromkeys(d.figure.name for run in self.runs for d in run.figures)
        return [
            [(run.name, d) for run in self.runs for d in run.figures if d.figure.name == name]
            for name in names
        ]

    def data(self) -> dict[str, Any]:
        """Return the data of the page's script: tables, trials, and each chart's specification."""
        charts = {d.key: d.figure.spec for run in self.runs for d in run.figures}
        return {
            "grids": {g.name: g.data() for g in self.grids()},
            "trials": self.details,
            "charts": {**charts, "trial": trial_spec()},
        }


def page_content(runs: Sequence[ReportData], drawings: Iterable[Sequence[Drawing]]) -> PageContent:
    """Collect the content of ``runs``; their drawings are consumed last, when they are ready."""
    several = len(runs) > 1
    trials = TrialTable(runs)
    grid, details = trials.grid(), trials.details()
    return PageContent(
        title=" and ".join(dict.fromkeys(run.summary.name for run in runs)),
        runs=tuple(
            _run_content(run, f"run{i}", run_drawings, several)
            for i, (run, run_drawings) in enumerate(zip(runs, drawings, strict=True), start=1)
        ),
        sides=side_by_side(runs) if several else None,
        trials=grid,
        trials_omission_note=trials.omission_note(),
        details=details,
    )


def _run_content(
    run: ReportData, key: str, drawings: Sequence[Drawing], several: bool
) -> RunContent:
    summary, answered = run.summary, claims(run)
    return RunContent(
        key=key,
        name=run.name,
        title=summary.name if run.name == summary.name else f"{summary.name} ({run.name})",
        description=summary.description,
        answer=" ".join(answer(run, answered)),
        claims=claims_grid(f"{key}-claims", answered) if answered else None,
        grids=tuple(_grids(run, key, several)),
        notes=(*table_notes(summary), *secondary_notes(summary)),
        figures=tuple(EmbeddedFigure(f"{key}-{d.figure.name}", d.figure, d.svg) for d in drawings),
        failures=tuple(failures(run)),
        failures_omission_note=failures_omission_note(run),
        facts=tuple(header_facts(summary)),
        suite=json.dumps(run.suite, indent=1, ensure_ascii=False),
    )


def _grids(run: ReportData, key: str, several: bool) -> list[Grid]:
    summary = run.summary
    ids = [v.variant_id for v in summary.variants]
    keys = [f"{run.name}/{i}" for i in ids] if several else ids
    overview = text_table(summary)
    grids = [grid_from_table(f"{key}-overview", "Every variant", overview, "variant", keys)]
    if (measured := secondary_table(summary)) is not None:
        grids.append(grid_from_table(f"{key}-measured", TITLE, measured, "variant", keys))
    if (costs := costs_grid(f"{key}-costs", run)) is not None:
        grids.append(costs)
    return grids
