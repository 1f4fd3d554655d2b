"""Write the page and the charts of runs into a folder.

Usage:
    with RenderProcess() as renderer:
        run = read_run(Path("results/runs/quick-1"))
        write_page([run], Folder(Path("out")), renderer)       # index.html, charts/*
"""

from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

from bench.analysis.loading.garbage_collection import collector_paused
from bench.files.folder import Folder
from bench.records.atomic_write import make_folder, write_atomically
from bench.report.charts.all_figures import figures
from bench.report.charts.render_process import RenderProcess
from bench.report.charts.rendering import write_charts
from bench.report.charts.report_data import ReportData
from bench.report.page.embedding import json_text
from bench.report.page.page_build import build
from bench.report.page.page_content import page_content

_Result = TypeVar("_Result")


PAGE_DATA = "page-data.json"
"""The data of a page, as a separate file."""


@collector_paused()
def write_page(
    runs: Sequence[ReportData], out: Folder, renderer: RenderProcess, *, with_data: bool = False
) -> list[Path]:
    """Write ``index.html`` of all ``runs``, and the charts of each; return the paths.

    With ``with_data``, write the data that the page embeds into ``PAGE_DATA`` as well, for programs
    that compare pages. Raises StorageError if ``out`` cannot be written.
    """
    make_folder(out)
    drawings = [[renderer.draw(figure) for figure in figures(run)] for run in runs]
    # The page does not need the PNGs, so they come last.
    pngs = [[renderer.rasterize(drawing) for drawing in of_run] for of_run in drawings]
    content = page_content(runs, map(_results, drawings))
    data = json_text(content.data())
    page = build(content, data, renderer.script.result())
    paths = [write_atomically(out, "index.html", page)]
    if with_data:
        paths.append(write_atomically(out, PAGE_DATA, data))
    for run, run_drawings, run_pngs in zip(runs, drawings, pngs, strict=True):
        folder = out if len(runs) == 1 else out / run.name
        paths += write_charts(_results(run_drawings), _results(run_pngs), folder / "charts")
    return paths


def _results(futures: Sequence[Future[_Result]]) -> list[_Result]:
    return [future.result() for future in futures]
