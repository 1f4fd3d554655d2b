"""Expand a suite into its cells: each distinct variant, with its label.

Usage:
    cells = expand(suite, "gpu")         # matrix cells first, then the listed variants

A default may depend on the kind of device (``jit``), and so may a cell; the default kind is "cpu".
"""

import dataclasses
import functools
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.errors import SuiteError
from bench.spec.defaults import fill_defaults
from bench.spec.device import DeviceType
from bench.spec.environments import DEFAULT_ENVIRONMENT
from bench.spec.error_text import requirement
from bench.spec.fail_fast_types import FailFastDict
from bench.spec.selection import select
from bench.spec.suite import Suite
from bench.spec.variant import Variant
from bench.spec.variant_rules import inactive_settings

MAX_TRIALS = 100_000

Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
"""The id of a trial or a variant: part of file names."""


class Duplicate(BaseModel):
    """A variant of a suite that trains like an earlier one and therefore has no trials."""

    model_config = ConfigDict(frozen=True)

    label: str
    """The label that it would have."""
    variant_id: str
    """The id of the variant that runs."""
    same_as: str
    """The label of that variant."""
    without_effect: FailFastDict[str]
    """The keys in which the two differ, and why each has no effect."""


@dataclass(frozen=True)
class Cell:
    """One variant of a suite."""

    variant: Variant
    label: str
    settings: dict[str, Any]
    """What the suite sets for the variant, without defaults; with its label if it has one."""
    duplicates: tuple[Duplicate, ...] = ()
    """Variants with other settings that train like it."""

    @functools.cached_property
    def id(self) -> str:
        """The variant's id, computed once."""
        return self.variant.id

    @property
    def uses_default_jit(self) -> bool:
        """Whether the suite does not set ``jit``, which then depends on the device."""
        return "jit" not in self.settings


def expand(suite: Suite, device: DeviceType = "cpu") -> tuple[Cell, ...]:
    """Return the cells of a suite on ``device``, without duplicates, in the suite's order.

    Raises SuiteError if there are none or too many, or if settings contradict each other.
    """
    _check_size(suite)
    cells: dict[str, Cell] = {}
    twins: dict[str, list[tuple[Cell, Cell]]] = {}
    for settings, label in _cell_settings(suite):
        filled = _filled(settings, suite, label, device)
        if any(_matches(filled, rule) for rule in suite.exclude):
            continue
        cell = Cell(_variant(filled, suite, label), label, settings)
        first = cells.setdefault(cell.id, cell)
        if cell.variant != first.variant:
            twins.setdefault(cell.id, []).append((cell, first))
        if "label" in settings and "label" not in first.settings:
            cells[first.id] = Cell(first.variant, label, {**first.settings, "label": label})
    if suite.only:
        cells = _selected(cells, suite)
    if not cells:
        raise SuiteError(f"{suite.source}: no variant is left: loosen [[exclude]]")
    _check_labels(cells.values(), suite)
    return tuple(_with_duplicates(cell, twins.get(cell.id, ())) for cell in cells.values())


def complete_settings(
    settings: Mapping[str, Any], suite: Suite, device: DeviceType
) -> dict[str, Any]:
    """Return all fields of a variant, with the defaults of its environment and of ``device``.

    Raises ValueError if settings contradict each other.
    """
    name = settings.get("environment", DEFAULT_ENVIRONMENT)
    environment = suite.environments.get(name)
    threads = environment.threads if environment else None
    if threads is None:
        return fill_defaults(settings, device)
    if settings.get("threads") not in (None, threads):
        raise ValueError(
            f"threads {settings['threads']} is not that of environment {name!r}, {threads}: "
            "set one of the two"
        )
    return fill_defaults({**settings, "threads": threads}, device)


def without_label(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the axis settings of a cell."""
    return {key: value for key, value in settings.items() if key != "label"}


def _with_duplicates(cell: Cell, twins: Sequence[tuple[Cell, Cell]]) -> Cell:
    """Return ``cell`` with its ``twins`` as duplicates, and with the health epochs of all.

    Each twin comes with the first cell as it was then, before a later twin gave it a label.
    """
    if not twins:
        return cell
    dumped = cell.variant.model_dump()
    duplicates = []
    for twin, first in twins:
        reasons = {**inactive_settings(cell.variant), **inactive_settings(twin.variant)}
        reasons["hidden"] = reasons.get("hidden", reasons.get("depth", ""))
        differing = [k for k, value in twin.variant.model_dump().items() if value != dumped[k]]
        duplicates.append(
            Duplicate(
                label=twin.label,
                variant_id=cell.id,
                same_as=first.label if twin.label == cell.label else cell.label,
                without_effect={key: reasons[key] for key in differing},
            )
        )
    epochs = {n for v in (cell.variant, *(t.variant for t, _ in twins)) for n in v.health_epochs}
    # -1 is after the last epoch.
    in_order = tuple(sorted(epochs, key=lambda n: (n < 0, n)))
    variant = cell.variant.model_copy(update={"health_epochs": in_order})
    return dataclasses.replace(cell, variant=variant, duplicates=tuple(duplicates))


def _check_size(suite: Suite) -> None:
    trials = _cells_before_exclusion(suite) * suite.most_blocks
    if trials > MAX_TRIALS:
        raise SuiteError(
            f"{suite.source}: asks for {trials} trials, more than {MAX_TRIALS}: "
            f"shorten the lists in [matrix], or lower {'max_' if suite.precision else ''}blocks"
        )


def _cells_before_exclusion(suite: Suite) -> int:
    product = math.prod(len(values) for values in suite.matrix.values())
    return (product if _has_matrix_cells(suite) else 0) + len(suite.variants)


def _check_labels(cells: Iterable[Cell], suite: Suite) -> None:
    """Refuse two variants with one label: a table would show them as one."""
    seen: dict[str, str] = {}
    for cell in cells:
        if "label" in cell.settings and seen.setdefault(cell.label, cell.id) != cell.id:
            raise SuiteError(
                f"{suite.source}: variants {seen[cell.label]} and {cell.id} are both labelled "
                f"{cell.label!r}: give each its own label"
            )


def _has_matrix_cells(suite: Suite) -> bool:
    # A suite with only [variant] is one cell; listed variants replace that cell.
    return bool(suite.matrix) or not suite.variants


def _cell_settings(suite: Suite) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the settings of each cell, and its label."""
    if _has_matrix_cells(suite):
        for values in itertools.product(*suite.matrix.values()):
            cell = dict(zip(suite.matrix, values, strict=True))
            yield {**suite.variant, **cell}, _label(cell) or suite.name
    for table in suite.variants:
        label = table.get("label") or _label(without_label(table)) or suite.name
        yield {**suite.variant, **table}, label


def _label(settings: dict[str, Any]) -> str:
    return ", ".join(f"{key}={_plain(value)}" for key, value in settings.items())


def _plain(value: Any) -> str:
    return "-".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def _filled(
    settings: dict[str, Any], suite: Suite, label: str, device: DeviceType
) -> dict[str, Any]:
    try:
        return complete_settings(without_label(settings), suite, device)
    except ValueError as error:
        raise SuiteError(f"{suite.source}: {label}: {error}") from None


def _matches(settings: dict[str, Any], rule: dict[str, Any]) -> bool:
    """Return whether complete ``settings`` have every value of an ``[[exclude]]`` table."""
    total = settings["workers"] * settings["replicas"]
    values = {**settings, "per_replica_batch_size": settings["global_batch_size"] / total}
    return all(values[key] == value for key, value in rule.items())


def _variant(settings: dict[str, Any], suite: Suite, label: str) -> Variant:
    try:
        return Variant.model_validate(settings)
    except ValidationError as error:
        way_out = ", or drop the cell by [[exclude]]" if suite.matrix else ""
        reason = requirement(error.errors()[0])
        raise SuiteError(f"{suite.source}: {label}: {reason}{way_out}") from None


def _selected(cells: dict[str, Cell], suite: Suite) -> dict[str, Cell]:
    try:
        return select(cells, suite.only)
    except ValueError as error:
        raise SuiteError(f"{suite.source}: only: {error}") from None
