"""docs/results.md: what the published runs say, in their own generated words and tables.

Usage:
    python -m docs.generate.published_results > docs/results.md
"""

import sys
from pathlib import Path

from bench.report.charts.report_data import ReportData, read_run
from bench.report.page.answer_text import answer
from bench.report.page.claim_section import claims
from bench.report.publishing.published_index import published
from bench.report.text import escaping
from bench.report.text.summary_table import text_table
from bench.report.text.table_formats import markdown_table, superscript

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


def _section(run: ReportData, link: str) -> str:
    table, folder = text_table(run.summary), f"{link}/{escaping.link(run.name)}"
    said = " ".join(answer(run, claims(run)))
    return "\n\n".join(
        [
            f"## {escaping.markdown(run.name)}",
            escaping.markdown(" ".join(run.summary.description.split())),
            *([f"Remark: {escaping.markdown(run.summary.remark)}"] if run.summary.remark else []),
            f"**{escaping.markdown(said)}**",
            markdown_table(table),
            *(f"{superscript((i,))} {escaping.markdown(t)}" for i, t in enumerate(table.notes, 1)),
            f"[All of it]({folder}/summary.md), [its page]({folder}/index.html), "
            f"[its charts]({folder}/charts).",
        ]
    )


if __name__ == "__main__":
    sys.stdout.write(results(PUBLISHED, "../results/published"))
