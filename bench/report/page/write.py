"""Write charts and page of runs into a folder.

Usage:
    write_page({"quick": Path("results/runs/quick-1")}, Path("out"))   # index.html, charts/*
"""

from collections.abc import Mapping
from pathlib import Path

from bench.analysis.raw import collector_paused
from bench.analysis.summary import Summary
from bench.records.disk import disk_errors, write_aside
from bench.report.charts.figures import figures
from bench.report.charts.render import draw, write_charts
from bench.report.charts.reported import read_run
from bench.report.page.build import build
from bench.report.page.content import content


@collector_paused()
def write_page(
    runs: Mapping[str, Path], out: Path, summaries: Mapping[str, Summary] | None = None
) -> list[Path]:
    """Write ``index.html`` of all ``runs``, by name, and the charts of each; the paths written.

    ``summaries`` of these runs, where there are already, are not made again.

    Raises RunFolderError where one is no run folder, StorageError where ``out`` cannot be written.
    """
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    read = [read_run(path, name, (summaries or {}).get(name)) for name, path in runs.items()]
    drawn = [[draw(figure) for figure in figures(run)] for run in read]
    paths = []
    for run, found in zip(read, drawn, strict=True):
        folder = out / "charts" if len(read) == 1 else out / run.name / "charts"
        paths += write_charts(found, folder)
    page = out / "index.html"
    write_aside(page, build(content(read, drawn)))
    return [page, *paths]
