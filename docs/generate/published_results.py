"""Write docs/results.md: the large-data claim, the modes of turns, and the tables of all runs.

Usage:
    make results                # python -m docs.generate.published_results > docs/results.md
"""

import sys
from pathlib import Path

from bench.report.charts.report_data import ReportData, read_run
from bench.report.page.answer_text import answer
from bench.report.page.claim_section import claims
from bench.report.publishing.published_index import published_folders
from bench.report.text import escaping
from bench.report.text.summary_table import text_table
from bench.report.text.table_formats import markdown_table, superscript
from docs.generate.turn_modes import TURNS, turn_section

PUBLISHED = Path("results/published")
CLAIM = Path(__file__).with_name("claim.md")
"""The section that people write; a test compares its numbers with the published tables."""
_INTRODUCTION = """\
# Results

This page shows what the published runs found. People wrote the first section. `make results`
writes the rest from the records in [results/published](../results/published), and a test checks
that it is up to date. Each run took place on one machine. The page of a run names the machine and
the command, so that you can repeat the run on yours. [methodology.md](methodology.md) has the
formulas."""


def results(root: Path, link: str) -> str:
    """Return the page on the runs in ``root``; ``link`` leads from the page to ``root``."""
    runs = [read_run(folder) for folder in published_folders(root)]
    claim = CLAIM.read_text(encoding="utf-8").strip()
    turns = root / TURNS.name
    sections = [
        _INTRODUCTION,
        claim,
        *([turn_section(turns)] if published_folders(turns) else []),
        *(_section(run, link) for run in runs),
    ]
    return "\n\n".join(sections) + "\n"


def _section(run: ReportData, link: str) -> str:
    table, folder = text_table(run.summary), f"{link}/{escaping.link(run.name)}"
    answer_text = " ".join(answer(run, claims(run)))
    return "\n\n".join(
        [
            f"## {escaping.markdown(run.name)}",
            escaping.markdown(" ".join(run.summary.description.split())),
            *([f"Remark: {escaping.markdown(run.summary.remark)}"] if run.summary.remark else []),
            f"**{escaping.markdown(answer_text)}**",
            markdown_table(table),
            *(f"{superscript((i,))} {escaping.markdown(t)}" for i, t in enumerate(table.notes, 1)),
            f"[Full report]({folder}/summary.md), [page]({folder}/index.html), "
            f"[charts]({folder}/charts).",
        ]
    )


if __name__ == "__main__":
    sys.stdout.write(results(PUBLISHED, "../results/published"))
