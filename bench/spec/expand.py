"""From a suite to its cells: each distinct variant, with its label and what was asked for.

Usage:
    cells = expand(suite, "gpu")         # matrix cells first, then the listed variants
    pairs = pair(cells, suite, "gpu")    # (axis, variant id, baseline's variant id)

Both are for a kind of device, since a default may depend on it (``jit``); a CPU unless said.
"""

import contextlib
import dataclasses
import functools
import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.errors import SuiteError
from bench.spec.defaults import fill_defaults
from bench.spec.fail_fast import FailFastDict
from bench.spec.inert import why_inert
from bench.spec.jit import DeviceType
from bench.spec.problem import requirement, shown
from bench.spec.selection import selected
from bench.spec.suggestion import nearest
from bench.spec.suite import Comparison, Suite
from bench.spec.variant import BATCH_SIZES, Variant

MAX_TRIALS = 100_000

Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
"""Of a trial or a variant: part of file names."""


class Duplicate(BaseModel):
    """A variant of a suite that trains like an earlier one, and is not run beside it."""

    model_config = ConfigDict(frozen=True)

    label: str
    """What it would be called."""
    variant_id: str
    """Of the variant that is run."""
    same_as: str
    """The label of that."""
    without_effect: FailFastDict[str]
    """The keys in which the two differ, and why each has no effect."""


@dataclass(frozen=True)
class Cell:
    """One variant of a suite. ``asked`` holds what the suite says of it, without defaults."""

    variant: Variant
    label: str
    asked: dict[str, Any]
    duplicates: tuple[Duplicate, ...] = ()
    """Variants of other settings that train like it."""

    @functools.cached_property
    def id(self) -> str:
        """The variant's id, computed once."""
        return self.variant.id

    @property
    def leaves_jit_open(self) -> bool:
        """Whether the suite does not say ``jit``, which then depends on the device."""
        return "jit" not in self.asked


class Pair(BaseModel):
    """Two variants alike in all that the suite says, but for ``axis``."""

    model_config = ConfigDict(frozen=True)

    axis: str
    variant_id: Id
    baseline_id: Id


@dataclass(frozen=True)
class LostBaseline:
    """A baseline that ``suite.only`` leaves out of a plan."""

    id: str
    label: str
    comparisons: int
    """Those in a block that cannot be made without it."""


def expand(suite: Suite, device: DeviceType = "cpu") -> tuple[Cell, ...]:
    """The cells of a suite on ``device``, without doubles, in the suite's order.

    Raises SuiteError where there are none, too many, or an impossible one.
    """
    _check_size(suite)
    cells: dict[str, Cell] = {}
    twins: dict[str, list[tuple[Cell, Cell]]] = {}
    for asked, label in _asked_cells(suite):
        settings = _filled(asked, suite, label, device)
        if any(_matches(settings, rule) for rule in suite.exclude):
            continue
        cell = Cell(_variant(settings, suite, label), label, asked)
        known = cells.setdefault(cell.id, cell)
        if cell.variant != known.variant:
            twins.setdefault(cell.id, []).append((cell, known))
        if "label" in asked and "label" not in known.asked:
            cells[known.id] = Cell(known.variant, label, {**known.asked, "label": label})
    if suite.only:
        cells = _kept(cells, suite)
    if not cells:
        raise SuiteError(f"{suite.source}: no variant is left: loosen [[exclude]]")
    _check_labels(cells.values(), suite)
    return tuple(_with_duplicates(cell, twins.get(cell.id, ())) for cell in cells.values())


def pair(cells: Iterable[Cell], suite: Suite, device: DeviceType = "cpu") -> tuple[Pair, ...]:
    """Every comparison that the suite's ``[[compare]]`` tables ask for, without doubles.

    A cell's baseline is the variant that differs from it in the axis alone; where there is
    none, the one that the suite would have made of it with the baseline's value, so that a
    default that follows from the axis (``jit`` from ``strategy``) does not keep two apart.
    """
    cells = tuple(cells)
    found = (p for comparison in suite.compare for p in _pairs(cells, comparison, suite, device))
    return tuple(dict.fromkeys(found))


def lost_pairs(suite: Suite, device: DeviceType = "cpu") -> tuple[Pair, ...]:
    """The comparisons of variants that ``suite.only`` keeps without their baseline."""
    if not suite.only:
        return ()
    whole = suite.model_copy(update={"only": []})
    kept = {cell.id for cell in expand(suite, device)}
    every = pair(expand(whole, device), whole, device)
    return tuple(p for p in every if p.variant_id in kept and p.baseline_id not in kept)


def lost_baselines(suite: Suite, device: DeviceType = "cpu") -> tuple[LostBaseline, ...]:
    """The baselines of the comparisons that ``lost_pairs`` finds."""
    lost = Counter(p.baseline_id for p in lost_pairs(suite, device))
    if not lost:
        return ()
    labels = {c.id: c.label for c in expand(suite.model_copy(update={"only": []}), device)}
    return tuple(LostBaseline(name, labels[name], count) for name, count in lost.items())


def _with_duplicates(cell: Cell, twins: Sequence[tuple[Cell, Cell]]) -> Cell:
    """``cell``, which stands for its ``twins`` of other settings too, and has the looks of all.

    Each comes with the cell as it was found, before a label that was given later.
    """
    if not twins:
        return cell
    ours = cell.variant.model_dump()
    found = []
    for twin, known in twins:
        reasons = {**why_inert(cell.variant), **why_inert(twin.variant)}
        reasons["hidden"] = reasons.get("hidden", reasons.get("depth", ""))
        differing = [k for k, value in twin.variant.model_dump().items() if value != ours[k]]
        found.append(
            Duplicate(
                label=twin.label,
                variant_id=cell.id,
                same_as=known.label if twin.label == cell.label else cell.label,
                without_effect={key: reasons[key] for key in differing},
            )
        )
    looks = {n for v in (cell.variant, *(t.variant for t, _ in twins)) for n in v.health_epochs}
    # -1 is after the last epoch.
    in_order = tuple(sorted(looks, key=lambda n: (n < 0, n)))
    variant = cell.variant.model_copy(update={"health_epochs": in_order})
    return dataclasses.replace(cell, variant=variant, duplicates=tuple(found))


def _check_size(suite: Suite) -> None:
    trials = _cells_before_exclusion(suite) * suite.blocks
    if trials > MAX_TRIALS:
        raise SuiteError(
            f"{suite.source}: asks for {trials} trials, more than {MAX_TRIALS}: "
            "shorten the lists in [matrix], or lower blocks"
        )


def _cells_before_exclusion(suite: Suite) -> int:
    product = math.prod(len(values) for values in suite.matrix.values())
    return (product if _has_matrix_cells(suite) else 0) + len(suite.variants)


def _check_labels(cells: Iterable[Cell], suite: Suite) -> None:
    """What a table calls two variants alike would read as one."""
    seen: dict[str, str] = {}
    for cell in cells:
        if "label" in cell.asked and seen.setdefault(cell.label, cell.id) != cell.id:
            raise SuiteError(
                f"{suite.source}: variants {seen[cell.label]} and {cell.id} are both labelled "
                f"{cell.label!r}: give each its own label"
            )


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


def _filled(asked: dict[str, Any], suite: Suite, label: str, device: DeviceType) -> dict[str, Any]:
    try:
        return fill_defaults({k: v for k, v in asked.items() if k != "label"}, device)
    except ValueError as error:
        raise SuiteError(f"{suite.source}: {label}: {error}") from None


def _matches(settings: dict[str, Any], rule: dict[str, Any]) -> bool:
    """Whether a cell has every value of an ``[[exclude]]`` table, its defaults included."""
    total = settings["workers"] * settings["replicas"]
    known = {**settings, "per_replica_batch_size": settings["global_batch_size"] / total}
    return all(known[key] == value for key, value in rule.items())


def _variant(settings: dict[str, Any], suite: Suite, label: str) -> Variant:
    try:
        return Variant.model_validate(settings)
    except ValidationError as error:
        way_out = ", or drop the cell by [[exclude]]" if suite.matrix else ""
        reason = requirement(error.errors()[0])
        raise SuiteError(f"{suite.source}: {label}: {reason}{way_out}") from None


def _kept(cells: dict[str, Cell], suite: Suite) -> dict[str, Cell]:
    try:
        return selected(cells, suite.only)
    except ValueError as error:
        raise SuiteError(f"{suite.source}: only: {error}") from None


def _pairs(
    cells: tuple[Cell, ...], comparison: Comparison, suite: Suite, device: DeviceType
) -> list[Pair]:
    axis, value = comparison.axis, comparison.baseline
    if axis == "label":
        return _labelled_pairs(cells, value, suite)
    known = {cell.id for cell in cells}
    found = []
    for cell in cells:
        if getattr(cell.variant, axis) == value:
            continue
        for baseline_id in _counterparts(cell, axis, value, device):
            if baseline_id in known and baseline_id != cell.id:
                found.append(Pair(axis=axis, variant_id=cell.id, baseline_id=baseline_id))
                break
    if not found and not suite.only:
        raise SuiteError(
            f"{suite.source}: compare: no two variants differ in {axis} alone with one of them "
            f"{shown(value)}: correct axis or baseline, or drop the comparison"
        )
    return found


def _counterparts(cell: Cell, axis: str, value: Any, device: DeviceType) -> Iterator[str]:
    """Ids that a cell's baseline may have, the likest first."""
    asked = {k: v for k, v in cell.asked.items() if k != "label"}
    for settings in (cell.variant.model_dump(), asked):
        with contextlib.suppress(ValueError):
            filled = fill_defaults(_with(settings, axis, value), device)
            yield Variant.model_validate(filled).id


def _with(settings: dict[str, Any], axis: str, value: Any) -> dict[str, Any]:
    # The batch size may have been given in the one way and be compared in the other.
    replaced = BATCH_SIZES if axis in BATCH_SIZES else {axis}
    return {**{k: v for k, v in settings.items() if k not in replaced}, axis: value}


def _labelled_pairs(cells: tuple[Cell, ...], label: str, suite: Suite) -> list[Pair]:
    labelled = [cell for cell in cells if "label" in cell.asked]
    baselines = [cell.id for cell in labelled if cell.label == label]
    if suite.only and not baselines:
        return []
    if not baselines:
        hint = nearest(label, [cell.label for cell in labelled])
        raise SuiteError(f"{suite.source}: compare: no variant is labelled {label!r}{hint}")
    others = [cell.id for cell in labelled if cell.id != baselines[0]]
    if not others and not suite.only:
        raise SuiteError(f"{suite.source}: compare: only {label!r} has a label: label the others")
    return [Pair(axis="label", variant_id=id_, baseline_id=baselines[0]) for id_ in others]
