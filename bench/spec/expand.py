"""From a suite to its cells: each distinct variant, with its label and what was asked for.

Usage:
    cells = expand(suite)            # matrix cells first, then the listed variants
    pairs = pair(cells, suite)       # (axis, variant id, baseline's variant id)
"""

import itertools
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from bench.errors import SuiteError
from bench.spec.suite import Comparison, Suite
from bench.spec.variant import Variant, fill_defaults

MAX_TRIALS = 100_000


@dataclass(frozen=True)
class Cell:
    """One variant of a suite. ``asked`` holds what the suite says of it, without defaults."""

    variant: Variant
    label: str
    asked: dict[str, Any]


class Pair(BaseModel):
    """Two variants alike in all that the suite says, but for ``axis``."""

    model_config = ConfigDict(frozen=True)

    axis: str
    variant_id: str
    baseline_id: str


def expand(suite: Suite) -> tuple[Cell, ...]:
    """The cells of a suite, without doubles, in the order in which the suite names them.

    Raises SuiteError where there are none, too many, or an impossible one.
    """
    _check_size(suite)
    cells: dict[str, Cell] = {}
    for asked, label in _asked_cells(suite):
        settings = _filled(asked, suite, label)
        if any(_matches(settings, rule) for rule in suite.exclude):
            continue
        cell = Cell(_variant(settings, suite, label), label, asked)
        known = cells.setdefault(cell.variant.id, cell)
        if "label" in asked and "label" not in known.asked:
            cells[cell.variant.id] = Cell(known.variant, label, asked)
    if not cells:
        raise SuiteError(f"{suite.name}: no variant is left: loosen [[exclude]]")
    return tuple(cells.values())


def pair(cells: Iterable[Cell], suite: Suite) -> tuple[Pair, ...]:
    """Every comparison that the suite's ``[[compare]]`` tables ask for.

    Cells are alike where what was *asked* agrees: a default that follows from the axis
    itself (``jit`` from ``strategy``) does not keep two cells apart.
    """
    cells = tuple(cells)
    return tuple(p for comparison in suite.compare for p in _pairs(cells, comparison, suite))


def _check_size(suite: Suite) -> None:
    trials = _cells_before_exclusion(suite) * suite.blocks
    if trials > MAX_TRIALS:
        raise SuiteError(
            f"{suite.name}: asks for {trials} trials, more than {MAX_TRIALS}: "
            "shorten the lists in [matrix], or lower blocks"
        )


def _cells_before_exclusion(suite: Suite) -> int:
    product = math.prod(len(values) for values in suite.matrix.values())
    return (product if _has_matrix_cells(suite) else 0) + len(suite.variants)


def _has_matrix_cells(suite: Suite) -> bool:
    # A suite of [variant] alone is one cell; listed variants take the place of that cell.
    return bool(suite.matrix) or not suite.variants


def _asked_cells(suite: Suite) -> Iterator[tuple[dict[str, Any], str]]:
    if _has_matrix_cells(suite):
        for values in itertools.product(*suite.matrix.values()):
            cell = dict(zip(suite.matrix, values, strict=True))
            yield {**suite.variant, **cell}, _label(cell) or suite.name
    for listed in suite.variants:
        own = {key: value for key, value in listed.items() if key != "label"}
        yield {**suite.variant, **listed}, listed.get("label") or _label(own) or suite.name


def _label(settings: dict[str, Any]) -> str:
    return ", ".join(f"{key}={_plain(value)}" for key, value in settings.items())


def _plain(value: Any) -> str:
    return "-".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def _filled(asked: dict[str, Any], suite: Suite, label: str) -> dict[str, Any]:
    try:
        return fill_defaults({k: v for k, v in asked.items() if k != "label"})
    except ValueError as error:
        raise SuiteError(f"{suite.name}: {label}: {error}") from None


def _matches(settings: dict[str, Any], rule: dict[str, Any]) -> bool:
    """Whether a cell has every value of an ``[[exclude]]`` table, its defaults included."""
    total = settings["workers"] * settings["replicas"]
    known = {**settings, "per_replica_batch_size": settings["global_batch_size"] / total}
    return all(known[key] == value for key, value in rule.items())


def _variant(settings: dict[str, Any], suite: Suite, label: str) -> Variant:
    try:
        return Variant.model_validate(settings)
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise SuiteError(f"{suite.name}: {label}: {reason}, or drop the cell by [[exclude]]") from None


def _pairs(cells: tuple[Cell, ...], comparison: Comparison, suite: Suite) -> Iterator[Pair]:
    axis, found = comparison.axis, False
    baselines = {_rest(c, axis): c for c in cells if _value(c, axis) == comparison.baseline}
    for cell in cells:
        baseline = baselines.get(_rest(cell, axis))
        if baseline is not None and baseline is not cell:
            found = True
            yield Pair(axis=axis, variant_id=cell.variant.id, baseline_id=baseline.variant.id)
    if not found:
        raise SuiteError(
            f"{suite.name}: compare: no two variants differ in {axis} alone with one of them "
            f"{comparison.baseline!r}: correct axis or baseline, or drop the comparison"
        )


def _value(cell: Cell, axis: str) -> Any:
    if axis == "label":
        return cell.label
    return cell.asked.get(axis, getattr(cell.variant, axis))


def _rest(cell: Cell, axis: str) -> str:
    if axis == "label":
        return ""
    rest = {k: v for k, v in cell.asked.items() if k not in (axis, "label")}
    return json.dumps(rest, sort_keys=True)
