"""Every chart of a run, in the order of a report.

Usage:
    for figure in figures(run): ...
"""

from bench.report.charts.along import size_figures
from bench.report.charts.best import frontier_figures
from bench.report.charts.curves import learning_curves
from bench.report.charts.effects import effects_figure
from bench.report.charts.figure import Figure
from bench.report.charts.ratios import ratio_figures
from bench.report.charts.reported import ReportedRun
from bench.report.charts.strips import epoch_strips


def figures(run: ReportedRun) -> list[Figure]:
    """What there is data for."""
    found = [
        *ratio_figures(run),
        *size_figures(run),
        effects_figure(run),
        *frontier_figures(run),
        learning_curves(run),
        epoch_strips(run),
    ]
    return [figure for figure in found if figure is not None]
