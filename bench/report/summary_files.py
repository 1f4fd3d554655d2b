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
    """Summarize ``run``, write its tables to ``out`` and return their paths.

    The default of ``out`` is the ``report`` folder of the run. Raises RunFolderError if ``run`` is
    not a run folder, and StorageError if ``out`` is not writable.
    """
    return write_summary(summarize(run), Folder(out) if out else RunFolder(run).report_files)


@collector_paused()
def write_summary(summary: Summary, out: Folder) -> list[Path]:
    """Write ``summary`` to ``out`` in every format, and return the paths."""
    make_folder(out)
    table = text_table(summary)
    return [
        write_atomically(out, f"summary.{suffix}", render(summary, table))
        for suffix, render in FORMATS.items()
    ]
