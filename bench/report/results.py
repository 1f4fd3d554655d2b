"""docs/results.md: what the published runs say, in their own generated words and tables.

Usage:
    python -m bench.report.results > docs/results.md
"""

import sys
from pathlib import Path

from bench.report import escape
from bench.report.charts.reported import ReportedRun, read_run
from bench.report.index import published
from bench.report.page.answer import answer
from bench.report.page.claims import claims
from bench.report.table import text_table
from bench.report.tables import markdown_table, superscript

PUBLISHED = Path("results/published")
_INTRODUCTION = """\
# Results

What the published runs say. Nothing here is written by hand: sentences and tables are made from
the records in [results/published](../results/published), by `make results`, and a test makes them
anew and compares. Each run took place on one machine, which its page names with the command that
repeats it; on another, run it again. [methodology.md](methodology.md) has the formulas."""


def results(place: Path, link: str) -> str:
    """The page on the runs in ``place``, which is at ``link`` from where the page stands."""
    runs = [read_run(folder) for folder in published(place)]
    return "\n\n".join([_INTRODUCTION, *(_section(run, link) for run in runs)]) + "\n"


def _section(run: ReportedRun, link: str) -> str:
    table, folder = text_table(run.summary), f"{link}/{escape.link(run.name)}"
    said = " ".join(answer(run, claims(run)))
    return "\n\n".join(
        [
            f"## {escape.markdown(run.name)}",
            escape.markdown(" ".join(run.summary.description.split())),
            *([f"Remark: {escape.markdown(run.summary.remark)}"] if run.summary.remark else []),
            f"**{escape.markdown(said)}**",
            markdown_table(table),
            *(f"{superscript((i,))} {escape.markdown(t)}" for i, t in enumerate(table.notes, 1)),
            f"[All of it]({folder}/summary.md), [its page]({folder}/index.html), "
            f"[its charts]({folder}/charts).",
        ]
    )


if __name__ == "__main__":
    sys.stdout.write(results(PUBLISHED, "../results/published"))
