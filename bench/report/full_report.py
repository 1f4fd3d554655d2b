"""Write the full report of runs: their tables, their charts and a page.

Usage:
    full_report([Path("results/runs/quick-1")]).files
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import UsageError
from bench.files.folder import Folder
from bench.records.atomic_write import staged_files
from bench.records.run_folder import RunFolder
from bench.report.charts.render_process import RenderProcess

if TYPE_CHECKING:
    from bench.analysis.summary import Summary
    from bench.report.charts.report_data import ReportData


@dataclass(frozen=True)
class FullReport:
    """A report that has been written."""

    files: tuple[Path, ...]
    summaries: "tuple[Summary, ...]"
    """The summary of each run."""


def full_report(
    paths: Sequence[Path],
    out: Path | None = None,
    on_summary: "Callable[[Summary], None]" = lambda _: None,
) -> FullReport:
    """Report the run folders ``paths`` together in ``out``, or each in its own ``report/``.

    ``on_summary`` receives each summary before its charts are drawn. Raises UsageError if ``out``
    would hold two runs of one name, RunFolderError for a damaged run folder, HelperError if the
    process that draws charts dies, StorageError if files cannot be written.
    """
    names = [path.resolve().name for path in paths]
    if out and len(set(names)) < len(names):
        raise UsageError("two of the runs have the same name: report them apart, or without --out")
    files: list[Path] = []
    runs = []
    with RenderProcess() as renderer:
        # Imported while the process starts: pandas takes as long.
        from bench.report.charts.report_data import read_run

        for path, name in zip(paths, names, strict=True):
            run = read_run(path, name)
            runs.append(run)
            on_summary(run.summary)
            if out is None:
                files += _write([run], RunFolder(path).report_files, renderer)
        if out:
            files += _write(runs, Folder(out), renderer)
    return FullReport(tuple(files), tuple(run.summary for run in runs))


def _write(runs: "Sequence[ReportData]", out: Folder, renderer: RenderProcess) -> tuple[Path, ...]:
    """Write the tables of each run, and the charts and the page of all; return the paths."""
    from bench.report.page.write_page import write_page
    from bench.report.summary_files import write_summary

    with staged_files(out) as staging:
        for run in runs:
            folder = staging.files / run.name if len(runs) > 1 else staging.files
            write_summary(run.summary, folder)
        write_page(runs, staging.files, renderer)
    return staging.written
