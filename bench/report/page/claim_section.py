"""The claim that a technique costs nothing on large data, question by question, with numbers.

Usage:
    found = claims(run)           # () where the run has nothing to say of it
    claims_grid("run1-claims", found), " ".join(claim_sentences(found))
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
from bench.report.charts.ratio_chart import DIGITS, ratio_text
from bench.report.charts.report_data import ReportData
from bench.report.page.page_grid import Column, Grid
from bench.report.text.number_text import UNKNOWN, interval


@dataclass(frozen=True)
class Claim:
    """One question and its answer."""

    question: str
    what: str
    answer: str
    numbers: str
    needed: str


def claims(run: ReportData) -> tuple[Claim, ...]:
    """For each axis that the suite compares: of sizes where they vary, of a target where one is."""
    found: list[Claim] = []
    targets = run.variants["target_accuracy"].dropna().unique()
    for index, column in enumerate(run.summary.columns):
        if column.axis not in run.axes:
            continue
        baseline = run.baseline(column)
        if "examples" in run.axes and column.axis != "examples":
            for falls in ratio_trends(run.trials, column.axis, baseline):
                arms = _arms(run, falls.settings, falls.axis, falls.value)
                found.append(_trend_claim(falls, _cut_short(arms), _confounded(run, index, arms)))
        if len(targets) == 1:
            target = float(targets[0])
            for sooner in target_comparisons(run.trials, run.epochs, column.axis, baseline, target):
                settings = {**sooner.settings, "examples": str(sooner.examples)}
                arms = _arms(run, settings, sooner.axis, sooner.value)
                found.append(_target_claim(sooner, settings, _confounded(run, index, arms)))
    return tuple(found)


def claim_sentences(found: Sequence[Claim]) -> Iterator[str]:
    """How often each question was answered with yes, no and undecided."""
    for question in dict.fromkeys(claim.question for claim in found):
        asked = [claim for claim in found if claim.question == question]
        if len(asked) == 1:
            yield f"{question} For {asked[0].what}: {asked[0].answer} ({asked[0].numbers})."
            continue
        counts = Counter(claim.answer for claim in asked)
        told = [f"{word} for {counts[word]}" for word in ("yes", "no", "undecided") if counts[word]]
        yield f"{question} Of {len(asked)} settings: {', '.join(told)}."


def claims_grid(name: str, found: Sequence[Claim]) -> Grid:
    """A row a question and setting."""
    return Grid(
        name,
        "The claim, setting by setting",
        (
            Column("For", [claim.what for claim in found]),
            Column("Question", [claim.question for claim in found], choices=True),
            Column("Answer", [claim.answer for claim in found], choices=True),
            Column("Numbers", [claim.numbers for claim in found]),
            Column("What would decide", [claim.needed for claim in found]),
        ),
    )


def _trend_claim(f: RatioTrend, cut_short: Collection[int], confounded: str) -> Claim:
    ends = {point.size: point for point in (f.smallest, f.largest) if point is not None}
    parts = [", ".join(_point(point, cut_short) for point in ends.values()) or UNKNOWN]
    if f.over_range is not None:
        sizes = f"{f.sizes[0]} to {f.sizes[-1]} examples ({f.over_range.blocks} blocks)"
        parts.append(f"change from {sizes} × {ratio_text(f.over_range)}")
    if f.marginal_ratio is not None:
        parts.append(f"of each further example's cost {ratio_text(f.marginal_ratio)}{_fit(f)}")
    return Claim(
        f"Does the ratio to {f.axis}={f.baseline} fall to 1 as examples grow?",
        setting_text(f.axis, f.value, f.settings),
        f.answer,
        "; ".join(parts) + confounded,
        _needed(f.next_steps),
    )


def _target_claim(s: TargetComparison, settings: Mapping[str, str], confounded: str) -> Claim:
    t = s.times
    exact = t.parametric
    low, high = (exact.low, exact.high) if exact else (t.low, t.high)
    ratio = interval(exact.value if exact else t.value, low, high, DIGITS)
    return Claim(
        f"Is an accuracy of {s.target:g} reached sooner than with {s.axis}={s.baseline}?",
        setting_text(s.axis, s.value, settings),
        s.answer,
        f"ratio of times {ratio}; of {t.n} blocks both reached it in {t.both}, "
        f"only this in {t.only_a}, only the baseline in {t.only_b}{confounded}",
        _needed(s.next_steps),
    )


def setting_text(axis: str, value: str, settings: Mapping[str, str]) -> str:
    """``"norm=bn_post, jit=none"``: what is compared, and where."""
    return ", ".join(f"{key}={text}" for key, text in {axis: value, **settings}.items())


def _fit(f: RatioTrend) -> str:
    if f.lack_of_fit_p is None:
        return " (too few sizes or blocks to see whether lines fit: it decides nothing)"
    return "" if f.lines_fit else " (lines do not fit: it decides nothing)"


def _point(point: Point, cut_short: Collection[int]) -> str:
    if point.ratio is None:
        return UNKNOWN
    how = " (extrapolated)" if point.size in cut_short else ""
    return f"{ratio_text(point.ratio)} at {point.size} examples{how}"


def _arms(run: ReportData, settings: Mapping[str, str], axis: str, value: str) -> pd.DataFrame:
    """The variants of a question, but for its baselines."""
    arms = run.variants
    for key, text in {axis: value, **settings}.items():
        arms = arms[arms[key].astype(str) == text]
    return arms


def _cut_short(arms: pd.DataFrame) -> set[int]:
    """Of which sizes an epoch was extrapolated."""
    whole = arms["examples"] // arms["global_batch_size"]
    return set(map(int, arms.loc[(arms["max_steps"] < whole).fillna(False), "examples"]))


def _confounded(run: ReportData, column: int, arms: pd.DataFrame) -> str:
    """What else differs between the arms, as the overview's cells have it."""
    compared = (v.comparisons[column] for v in run.summary.variants if v.variant_id in arms.index)
    keys = {c.key for found in compared if found is not None for c in found.confounds}
    return f"; confounded, the arms differ in {', '.join(sorted(keys))} too" if keys else ""


def _needed(needed: Sequence[NextStep]) -> str:
    texts = []
    for each in needed:
        amount = "more" if each.amount is None else f"{each.amount} more"
        if each.kind == "settled_blocks":
            texts.append(f"{amount} blocks in which both trials settle at each size")
        elif each.kind == "larger_size":
            size = "" if each.amount is None else f", {each.amount} examples or so"
            texts.append(f"a larger size{size}")
        else:
            texts.append(f"{amount} {each.kind}")
    return "; ".join(texts) or UNKNOWN
