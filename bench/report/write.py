"""Write the report of a run into its folder.

Usage:
    paths = write_report(Path("results/runs/quick-1"))       # report/summary.md .csv .tex
"""

from pathlib import Path

from bench.analysis.raw import collector_paused
from bench.analysis.summary import Summary, summarize
from bench.files.folder import Folder
from bench.records.disk import make_folder, write_aside
from bench.records.store import RunFolder
from bench.report.latex import latex
from bench.report.table import text_table
from bench.report.tables import csv, markdown

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
        write_aside(out, f"summary.{suffix}", text_of(summary, table))
        for suffix, text_of in FORMATS.items()
    ]
