"""Write the report of a run into its folder.

Usage:
    paths = write_report(Path("results/runs/quick-1"))       # report/summary.md .csv .tex
"""

from pathlib import Path

from bench.analysis.loading.raw_records import collector_paused
from bench.analysis.summary import Summary, summarize
from bench.files.folder import Folder
from bench.records.atomic_write import make_folder, write_atomically
from bench.records.run_folder import RunFolder
from bench.report.text.latex import latex
from bench.report.text.summary_table import text_table
from bench.report.text.table_formats import csv, markdown

FORMATS = {"md": markdown, "csv": csv, "tex": latex}


def write_report(run: Path, out: Path | None = None) -> list[Path]:
    """Sum up ``run`` and write its tables to ``out``, by default its own ``report/``.

    Raises RunFolderError where ``run`` is no run folder, StorageError where it cannot write.
    """
    return write_summary(summarize(run), Folder(out) if out else RunFolder(run).report_files)


@collector_paused()
def write_summary(summary: Summary, out: Folder) -> list[Path]:
    """Write ``summary`` to ``out``, in every format; the paths written."""
    make_folder(out)
    table = text_table(summary)
    return [
        write_atomically(out, f"summary.{suffix}", text_of(summary, table))
        for suffix, text_of in FORMATS.items()
    ]
