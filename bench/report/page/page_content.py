"""What the page says, section by section, ready for its template.

Usage:
    page_content(runs)          # PageContent(title=..., runs=(RunContent(...), ...), trials=..., ...)
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.report.charts.figure import Figure
from bench.report.charts.rendering import Drawing
from bench.report.charts.report_data import ReportData
from bench.report.charts.trial_chart import trial_spec
from bench.report.page import failure_section
from bench.report.page.answer_text import answer
from bench.report.page.claim_section import claims, claims_grid
from bench.report.page.cost_section import costs_grid
from bench.report.page.failure_section import Failure
from bench.report.page.page_grid import Grid, grid_from_table
from bench.report.page.side_by_side import side_by_side
from bench.report.page.trial_section import TrialTable
from bench.report.text import footnotes
from bench.report.text.report_header import header_facts
from bench.report.text.secondary_table import TITLE, measured_notes, measured_table
from bench.report.text.summary_table import text_table


@dataclass(frozen=True)
class EmbeddedFigure:
    """A drawing of a run; ``key`` is its own in the whole page."""

    key: str
    figure: Figure
    svg: str


@dataclass(frozen=True)
class RunContent:
    """One run's part of each section."""

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
    """As JSON."""


@dataclass(frozen=True)
class PageContent:
    """The page."""

    title: str
    runs: tuple[RunContent, ...]
    sides: Grid | None
    trials: Grid
    trials_omission_note: str
    details: dict[str, Any]

    def grids(self) -> list[Grid]:
        """All tables that the script looks after."""
        own = [grid for run in self.runs for grid in (run.claims, *run.grids)]
        return [grid for grid in (*own, self.sides, self.trials) if grid is not None]

    def figure_rows(self) -> list[list[tuple[str, EmbeddedFigure]]]:
        """The same figure of each run beside each other, with the run's name."""
        names = dict.fromkeys(d.figure.name for run in self.runs for d in run.figures)
        return [
            [(run.name, d) for run in self.runs for d in run.figures if d.figure.name == name]
            for name in names
        ]

    def data(self) -> dict[str, Any]:
        """What the script reads, but for the charts."""
        return {"grids": {g.name: g.data() for g in self.grids()}, "trials": self.details}

    def specs(self) -> dict[str, Any]:
        """The specification of every chart, by its key."""
        own = {d.key: d.figure.spec for run in self.runs for d in run.figures}
        return {**own, "trial": trial_spec()}


def page_content(runs: Sequence[ReportData], drawings: Iterable[Sequence[Drawing]]) -> PageContent:
    """Everything on the page of ``runs``, each with its drawings, which are asked for last."""
    several = len(runs) > 1
    trials = TrialTable(runs)
    grid, details = trials.grid(), trials.details()
    return PageContent(
        title=" and ".join(dict.fromkeys(run.summary.name for run in runs)),
        runs=tuple(
            _run(run, f"run{i}", found, several)
            for i, (run, found) in enumerate(zip(runs, drawings, strict=True), start=1)
        ),
        sides=side_by_side(runs) if several else None,
        trials=grid,
        trials_omission_note=trials.omission_note(),
        details=details,
    )


def _run(run: ReportData, key: str, drawn: Sequence[Drawing], several: bool) -> RunContent:
    summary, found = run.summary, claims(run)
    return RunContent(
        key=key,
        name=run.name,
        title=summary.name if run.name == summary.name else f"{summary.name} ({run.name})",
        description=summary.description,
        answer=" ".join(answer(run, found)),
        claims=claims_grid(f"{key}-claims", found) if found else None,
        grids=tuple(_grids(run, key, several)),
        notes=(*footnotes.of_summary(summary), *measured_notes(summary)),
        figures=tuple(EmbeddedFigure(f"{key}-{d.figure.name}", d.figure, d.svg) for d in drawn),
        failures=tuple(failure_section.failures(run)),
        failures_omission_note=failure_section.omission_note(run),
        facts=tuple(header_facts(summary)),
        suite=json.dumps(run.suite, indent=1, ensure_ascii=False),
    )


def _grids(run: ReportData, key: str, several: bool) -> list[Grid]:
    summary = run.summary
    ids = [v.variant_id for v in summary.variants]
    keys = [f"{run.name}/{i}" for i in ids] if several else ids
    first = text_table(summary)
    grids = [grid_from_table(f"{key}-overview", "Every variant", first, "variant", keys)]
    if (second := measured_table(summary)) is not None:
        grids.append(grid_from_table(f"{key}-measured", TITLE, second, "variant", keys))
    if (third := costs_grid(f"{key}-costs", run)) is not None:
        grids.append(third)
    return grids
