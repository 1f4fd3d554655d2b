"""List every chart of a run, in the order of a report.

Usage:
    for figure in figures(run): ...
"""

from collections.abc import Iterator

from bench.report.charts.accuracy_frontier import frontier_figures
from bench.report.charts.effects_chart import effects_figure
from bench.report.charts.epoch_times import epoch_times_figure
from bench.report.charts.figure import Figure
from bench.report.charts.layer_health_chart import health_figures
from bench.report.charts.learning_curves import learning_curves_figure
from bench.report.charts.ratio_chart import ratio_figures
from bench.report.charts.report_data import ReportData
from bench.report.charts.size_ratios import size_figures


def figures(run: ReportData) -> Iterator[Figure]:
    """Make each chart for which the run has data, lazily."""
    yield from ratio_figures(run)
    yield from size_figures(run)
    yield from _present(effects_figure(run))
    yield from frontier_figures(run)
    yield from _present(learning_curves_figure(run))
    yield from _present(epoch_times_figure(run))
    yield from health_figures(run)


def _present(figure: Figure | None) -> Iterator[Figure]:
    if figure is not None:
        yield figure
