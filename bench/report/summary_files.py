"""Write the tables of a run's summary.

Usage:
    paths = write_summary(summarize(run), Folder(out))       # summary.md .csv .tex
"""

from pathlib import Path

from bench.analysis.loading.garbage_collection import collector_paused
from bench.analysis.summary import Summary
from bench.files.folder import Folder
from bench.records.atomic_write import make_folder, write_atomically
from bench.report.text.latex import latex
from bench.report.text.summary_table import text_table
from bench.report.text.table_formats import csv, markdown

FORMATS = {"md": markdown, "csv": csv, "tex": latex}


@collector_paused()
def write_summary(summary: Summary, out: Folder) -> list[Path]:
    """Write ``summary`` to ``out`` in every format, and return the paths."""
    make_folder(out)
    table = text_table(summary)
    return [
        write_atomically(out, f"summary.{suffix}", render(summary, table))
        for suffix, render in FORMATS.items()
    ]
