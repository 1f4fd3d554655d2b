"""Answer the claim that a technique costs nothing on large data, by question and setting.

Usage:
    answered = claims(run)        # () if the run cannot answer any question
    claims_grid("run1-claims", answered), " ".join(claim_sentences(answered))
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from bench.analysis.comparison.overhead import Point
from bench.analysis.questions.large_data_claim import (
    RatioTrend,
    TargetComparison,
    ratio_trends,
    target_comparisons,
)
from bench.analysis.questions.next_steps import NextStep
from bench.analysis.statistics.capped_epochs import capped_epochs
from bench.analysis.statistics.time_to_accuracy import MIN_VALUES, TimeRatio
from bench.report.charts.report_data import ReportData
from bench.report.page.page_grid import Column, Grid
from bench.report.text.number_text import UNKNOWN, number
from bench.report.text.ratio_text import RATIO_DIGITS, ratio_text


@dataclass(frozen=True)
class Claim:
    """One question of the claim, asked of one setting, and its answer."""

    question: str
    setting: str
    answer: str
    numbers: str
    next_steps: str
    """The data that would decide the question."""


def claims(run: ReportData) -> tuple[Claim, ...]:
    """Answer the questions on sizes and on a target accuracy for each compared axis.

    A question is skipped if the run has only one size or no common target.
    """
    answered: list[Claim] = []
    targets = run.variants["target_accuracy"].dropna().unique()
    for index, column in enumerate(run.summary.columns):
        if column.axis not in run.axes:
            continue
        baseline = run.baseline(column)
        if "examples" in run.axes and column.axis != "examples":
            for trend in ratio_trends(run.trials, column.axis, baseline, turns=run.turns):
                arms = _arms(run, trend.settings, trend.axis, trend.value)
                confounds = _confound_note(run, index, arms)
                answered.append(_trend_claim(trend, _capped_sizes(arms), confounds))
        if len(targets) == 1:
            target = float(targets[0])
            trials, epochs = run.trials, run.epochs
            for comparison in target_comparisons(trials, epochs, column.axis, baseline, target):
                settings = {**comparison.settings, "examples": str(comparison.examples)}
                arms = _arms(run, settings, comparison.axis, comparison.value)
                confounds = _confound_note(run, index, arms)
                answered.append(_target_claim(comparison, settings, confounds))
    return tuple(answered)


def claim_sentences(answered: Sequence[Claim]) -> Iterator[str]:
    """Say how often each question was answered with yes, no and undecided."""
    for question in dict.fromkeys(claim.question for claim in answered):
        same = [claim for claim in answered if claim.question == question]
        if len(same) == 1:
            yield f"{question} For {same[0].setting}: {same[0].answer} ({same[0].numbers})."
            continue
        counts = Counter(claim.answer for claim in same)
        words = [word for word in ("yes", "no", "undecided") if counts[word]]
        tally = ", ".join(f"{word} for {counts[word]}" for word in words)
        yield f"{question} Of {len(same)} settings: {tally}."


def claims_grid(name: str, answered: Sequence[Claim]) -> Grid:
    """Return a table with one row per question and setting."""
    return Grid(
        name,
        "The claim, setting by setting",
        (
            Column("For", [claim.setting for claim in answered]),
            Column("Question", [claim.question for claim in answered], choices=True),
            Column("Answer", [claim.answer for claim in answered], choices=True),
            Column("Numbers", [claim.numbers for claim in answered]),
            Column("What would decide", [claim.next_steps for claim in answered]),
        ),
    )


def _trend_claim(t: RatioTrend, capped_sizes: Collection[int], confounds: str) -> Claim:
    ends = {point.size: point for point in (t.smallest, t.largest) if point is not None}
    parts = [", ".join(_point_text(point, capped_sizes) for point in ends.values()) or UNKNOWN]
    if t.over_range is not None:
        sizes = f"{t.sizes[0]} to {t.sizes[-1]} examples ({t.over_range.blocks} blocks)"
        parts.append(f"change from {sizes} × {ratio_text(t.over_range)}")
    if t.marginal_ratio is not None:
        marginal = ratio_text(t.marginal_ratio)
        parts.append(f"of each further example's cost, extrapolated, {marginal}{_fit_note(t)}")
    return Claim(
        f"Is the cost over {t.axis}={t.baseline} below {100 * t.margin:g} % at the largest size?",
        setting_text(t.axis, t.value, t.settings),
        t.answer,
        "; ".join(parts) + confounds,
        _next_steps_text(t.next_steps),
    )


def _target_claim(c: TargetComparison, settings: Mapping[str, str], confounds: str) -> Claim:
    times = c.times
    ratio = f"median {_median_text(times)}"
    if times.parametric is not None:
        ratio += f", mean {ratio_text(times.parametric)} (t interval)"
    return Claim(
        f"Is an accuracy of {c.target:g} reached sooner than with {c.axis}={c.baseline}?",
        setting_text(c.axis, c.value, settings),
        c.answer,
        f"ratio of times: {ratio}; of {times.n} blocks both reached it in {times.both}, "
        f"only this in {times.only_a}, only the baseline in {times.only_b}{confounds}",
        _next_steps_text(c.next_steps),
    )


def _median_text(times: TimeRatio) -> str:
    """Return a median with its ends, either of which may be infinite."""
    value, low, high = (number(end, RATIO_DIGITS) for end in (times.value, times.low, times.high))
    if times.low is None:
        units = "sessions" if times.sessions > 1 else "blocks"
        return f"{value} (its interval takes {MIN_VALUES} {units})"
    return f"{value} [{low}, {high}]"


def setting_text(axis: str, value: str, settings: Mapping[str, str]) -> str:
    """Return a comparison and its other settings: ``"norm=bn_post, jit=none"``."""
    return ", ".join(f"{key}={text}" for key, text in {axis: value, **settings}.items())


def _fit_note(trend: RatioTrend) -> str:
    if trend.lack_of_fit_p is None:
        return " (too few sizes or blocks to see whether lines fit: it decides nothing)"
    return "" if trend.lines_fit else " (lines do not fit: it decides nothing)"


def _point_text(point: Point, capped_sizes: Collection[int]) -> str:
    if point.ratio is None:
        return UNKNOWN
    note = " (extrapolated)" if point.size in capped_sizes else ""
    return f"{ratio_text(point.ratio)} at {point.size} examples{note}"


def _arms(run: ReportData, settings: Mapping[str, str], axis: str, value: str) -> pd.DataFrame:
    """Return the variants of a question, without its baselines."""
    arms = run.variants
    for key, text in {axis: value, **settings}.items():
        arms = arms[arms[key].astype(str) == text]
    return arms


def _capped_sizes(arms: pd.DataFrame) -> set[int]:
    """Return the sizes whose epochs were cut short and extrapolated."""
    return set(map(int, capped_epochs(arms)["examples"]))


def _confound_note(run: ReportData, column: int, arms: pd.DataFrame) -> str:
    """Name the other settings in which the arms differ, like the cells of the overview."""
    compared = (v.comparisons[column] for v in run.summary.variants if v.variant_id in arms.index)
    keys = {c.key for comparison in compared if comparison for c in comparison.confounds}
    return f"; confounded, the arms differ in {', '.join(sorted(keys))} too" if keys else ""


def _next_steps_text(steps: Sequence[NextStep]) -> str:
    texts = []
    for step in steps:
        amount = "more" if step.amount is None else f"{step.amount} more"
        if step.kind == "complete_blocks":
            texts.append(f"{amount} blocks in which both trials complete at each size")
        elif step.kind == "larger_size":
            size = "" if step.amount is None else f", {step.amount} examples (extrapolated)"
            texts.append(f"a larger size{size}")
        else:
            texts.append(f"{amount} {step.kind}")
    return "; ".join(texts) or UNKNOWN
