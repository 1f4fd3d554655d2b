"""Write the report of a run into its folder.

Usage:
    paths = write_report(Path("results/runs/quick-1"))       # report/summary.md .csv .tex
"""

from pathlib import Path

from bench.analysis.raw import collector_paused
from bench.analysis.summary import Summary, summarize
from bench.errors import StorageError
from bench.records.store import RunFolder, aside
from bench.report.latex import latex
from bench.report.table import text_table
from bench.report.tables import csv, markdown

FORMATS = {"md": markdown, "csv": csv, "tex": latex}


def write_report(run: Path, out: Path | None = None) -> list[Path]:
    """Sum up ``run`` and write its tables to ``out``, by default its own ``report/``.

    Raises RunFolderError where ``run`` is no run folder, StorageError where it cannot write.
    """
    return write_summary(summarize(run), out or RunFolder(run).report)


@collector_paused()
def write_summary(summary: Summary, out: Path) -> list[Path]:
    """Write ``summary`` to ``out``, in every format; the paths written."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"{out}: {error.strerror}: make it writable, or choose another folder"
        ) from None
    table = text_table(summary)
    paths = []
    for suffix, text_of in FORMATS.items():
        path = out / f"summary.{suffix}"
        with aside(path) as temporary:
            temporary.write_text(text_of(summary, table), encoding="utf-8")
        paths.append(path)
    return paths
