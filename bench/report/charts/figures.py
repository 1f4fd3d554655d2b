"""Every chart of a run, in the order of a report.

Usage:
    for figure in figures(run): ...
"""

from collections.abc import Iterator

from bench.report.charts.along import size_figures
from bench.report.charts.best import frontier_figures
from bench.report.charts.curves import learning_curves
from bench.report.charts.effects import effects_figure
from bench.report.charts.figure import Figure
from bench.report.charts.health import health_figures
from bench.report.charts.ratios import ratio_figures
from bench.report.charts.reported import ReportedRun
from bench.report.charts.strips import epoch_strips


def figures(run: ReportedRun) -> Iterator[Figure]:
    """What there is data for, each as soon as it is asked for."""
    yield from ratio_figures(run)
    yield from size_figures(run)
    yield from _drawn(effects_figure(run))
    yield from frontier_figures(run)
    yield from _drawn(learning_curves(run))
    yield from _drawn(epoch_strips(run))
    yield from health_figures(run)


def _drawn(figure: Figure | None) -> Iterator[Figure]:
    if figure is not None:
        yield figure
