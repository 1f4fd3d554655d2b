"""The claim that a technique costs nothing on large data, question by question, with numbers.

Usage:
    found = claims(run)           # () where the run has nothing to say of it
    claims_grid("run1-claims", found), " ".join(sentences(found))
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.analysis.claim import Falls, Sooner, does_ratio_fall, is_target_sooner
from bench.analysis.needed import Needed
from bench.analysis.overhead import Point
from bench.report.charts.ratios import DIGITS
from bench.report.charts.reported import ReportedRun
from bench.report.number import UNKNOWN, interval
from bench.report.page.grid import Column, Grid


@dataclass(frozen=True)
class Claim:
    """One question and its answer."""

    question: str
    what: str
    answer: str
    numbers: str
    needed: str


def claims(run: ReportedRun) -> tuple[Claim, ...]:
    """For each axis that the suite compares: of sizes where they vary, of a target where one is."""
    found: list[Claim] = []
    targets = run.variants["target_accuracy"].dropna().unique()
    for column in run.summary.columns:
        if column.axis not in run.axes:
            continue
        baseline = run.baseline(column)
        if "examples" in run.axes and column.axis != "examples":
            falls = does_ratio_fall(run.trials, column.axis, baseline)
            found += [_falls(each) for each in falls]
        if len(targets) == 1:
            target = float(targets[0])
            sooner = is_target_sooner(run.trials, run.epochs, column.axis, baseline, target)
            found += [_sooner(each) for each in sooner]
    return tuple(found)


def sentences(found: Sequence[Claim]) -> Iterator[str]:
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


def _falls(f: Falls) -> Claim:
    over = f.over_range
    trend = interval(over.value, over.low, over.high, DIGITS) if over else UNKNOWN
    return Claim(
        f"Does the ratio to {f.axis}={f.baseline} fall to 1 as examples grow?",
        _what(f.axis, f.value, f.settings),
        f.answer,
        f"{_point(f.smallest)}, {_point(f.largest)}; change over the range × {trend}",
        _needed(f.decided_by),
    )


def _sooner(s: Sooner) -> Claim:
    t = s.times
    exact = t.parametric
    low, high = (exact.low, exact.high) if exact else (t.low, t.high)
    ratio = interval(exact.value if exact else t.value, low, high, DIGITS)
    return Claim(
        f"Is an accuracy of {s.target:g} reached sooner than with {s.axis}={s.baseline}?",
        _what(s.axis, s.value, {**s.settings, "examples": str(s.examples)}),
        s.answer,
        f"ratio of times {ratio}; of {t.n} blocks both reached it in {t.both}, "
        f"only this in {t.only_a}, only the baseline in {t.only_b}",
        _needed(s.decided_by),
    )


def _what(axis: str, value: str, settings: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={text}" for key, text in {axis: value, **settings}.items())


def _point(point: Point | None) -> str:
    if point is None or point.ratio is None:
        return UNKNOWN
    r = point.ratio
    return f"{interval(r.value, r.low, r.high, DIGITS)} at {point.size} examples"


def _needed(needed: Sequence[Needed]) -> str:
    texts = []
    for each in needed:
        amount = "more" if each.amount is None else f"{each.amount} more"
        if each.kind == "larger_size":
            size = "" if each.amount is None else f", {each.amount} examples or so"
            texts.append(f"a larger size{size}")
        else:
            texts.append(f"{amount} {each.kind}")
    return "; ".join(texts) or UNKNOWN
