"""Write charts and page of runs into a folder.

Usage:
    write_page([read_run(Path("results/runs/quick-1"))], Path("out"))   # index.html, charts/*
"""

from collections.abc import Sequence
from pathlib import Path

from bench.analysis.raw import collector_paused
from bench.records.disk import disk_errors, write_aside
from bench.report.charts.figures import figures
from bench.report.charts.render import draw, write_charts
from bench.report.charts.reported import ReportedRun
from bench.report.page.build import build
from bench.report.page.content import content


@collector_paused()
def write_page(runs: Sequence[ReportedRun], out: Path) -> list[Path]:
    """Write ``index.html`` of all ``runs``, and the charts of each; the paths written.

    Raises StorageError where ``out`` cannot be written.
    """
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    drawn = [[draw(figure) for figure in figures(run)] for run in runs]
    paths = []
    for run, found in zip(runs, drawn, strict=True):
        folder = out / "charts" if len(runs) == 1 else out / run.name / "charts"
        paths += write_charts(found, folder)
    page = out / "index.html"
    write_aside(page, build(content(runs, drawn)))
    return [page, *paths]
