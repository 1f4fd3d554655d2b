"""Tabulate the fixed cost of an epoch and the cost of each example, for each arm and its baseline.

Usage:
    costs_grid("run1-costs", run)         # None if nothing is compared over several sizes
"""

from collections.abc import Callable, Sequence

from bench.analysis.questions.epoch_cost import CostLine, EpochCost, epoch_costs
from bench.analysis.statistics.intervals import Estimate
from bench.records.metric import METRICS
from bench.report.charts.report_data import CUT_SHORT, ReportData
from bench.report.page.claim_section import setting_text
from bench.report.page.page_grid import Column, Grid, keep_interval_together
from bench.report.text.number_text import UNKNOWN, interval, magnitude, number, scale_of
from bench.report.text.ratio_text import ratio_text

_METRIC = METRICS["epoch_s"]
_DIGITS = 2
_ABOUT = (
    "A line through the epoch times of each arm's sizes, block by block: seconds = fixed + each "
    "example's × examples. Brackets are 95 % t intervals over blocks. Noise can make a fixed cost "
    "negative. Off the line: the largest mean distance of a size from it, as a part of its time; "
    "p: how likely distances as large would be if the line were true, unknown for two sizes or "
    "too few blocks. Both are given for the arm, then for its baseline."
)


def costs_grid(name: str, run: ReportData) -> Grid | None:
    """Return one row per value of a compared axis and setting that ran at several sizes."""
    costs = [
        cost
        for column in run.summary.columns
        if "examples" in run.axes and column.axis in run.axes and column.axis != "examples"
        for cost in epoch_costs(run.trials, column.axis, run.baseline(column))
    ]
    if not costs:
        return None
    arms, baselines = [c.arm for c in costs], [c.baseline_arm for c in costs]
    return Grid(
        name,
        "Fixed cost of an epoch, and cost of each example",
        (
            Column("For", [setting_text(c.axis, c.value, c.settings) for c in costs]),
            *_seconds("Fixed", [f.fixed_s for f in arms], [f.fixed_s for f in baselines]),
            *_seconds("Each example", *([f.marginal_s for f in fs] for fs in (arms, baselines))),
            _numbers("Ratio of the latter", [_ratio(c) for c in costs]),
            _numbers("Off the line", [_both_arms(c, _largest_residual) for c in costs]),
            _numbers("p", [_both_arms(c, _lack_of_fit) for c in costs]),
            _numbers("Sizes", [str(len(c.arm.sizes)) for c in costs]),
            _numbers("Blocks", [str(c.blocks) for c in costs]),
        ),
        notes=(_ABOUT + (CUT_SHORT if run.cut_short else ""),),
    )


def _seconds(title: str, arms: Sequence[Estimate], baselines: Sequence[Estimate]) -> list[Column]:
    """Return a column for the arms and one for their baselines, in the same unit."""
    scale = scale_of((e.value for e in (*arms, *baselines)), _METRIC)
    columns = {
        f"{title} ({scale.unit})": arms,
        f"{title} of the baseline ({scale.unit})": baselines,
    }
    return [
        _numbers(name, [interval(e.value, e.low, e.high, _METRIC.digits, scale) for e in estimates])
        for name, estimates in columns.items()
    ]


def _numbers(title: str, cells: Sequence[str]) -> Column:
    return Column(title, list(map(keep_interval_together, cells)), numeric=True)


def _ratio(c: EpochCost) -> str:
    return UNKNOWN if c.marginal_ratio is None else ratio_text(c.marginal_ratio)


def _both_arms(c: EpochCost, text: Callable[[CostLine], str]) -> str:
    return f"{text(c.arm)}; {text(c.baseline_arm)}"


def _largest_residual(fit: CostLine) -> str:
    if len(fit.sizes) == 2:  # a line always fits two points
        return UNKNOWN
    return f"{number(100 * max(map(abs, fit.residuals)), _DIGITS)} %"


def _lack_of_fit(fit: CostLine) -> str:
    return UNKNOWN if fit.lack_of_fit_p is None else magnitude(fit.lack_of_fit_p, _DIGITS)
