"""Pair each variant of a suite with its baseline, as the suite's ``[[compare]]`` tables say.

Usage:
    pairs = pair_cells(expand(suite, "gpu"), suite, "gpu")

A default may depend on the kind of device (``jit``), and so may a pair; the default kind is "cpu".
"""

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from bench.errors import SuiteError
from bench.spec.axis_groups import BATCH_SIZES
from bench.spec.device import DeviceType
from bench.spec.error_text import value_text
from bench.spec.expand import Cell, Id, complete_settings, expand, without_label
from bench.spec.suggestion import nearest
from bench.spec.suite import Comparison, Suite
from bench.spec.variant import Variant


class Pair(BaseModel):
    """Two variants that differ only in ``axis``, as far as the suite sets them."""

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
    """Number of comparisons of a block that cannot be made without it."""


def pair_cells(cells: Iterable[Cell], suite: Suite, device: DeviceType = "cpu") -> tuple[Pair, ...]:
    """Return every comparison that the suite's ``[[compare]]`` tables ask for, each once.

    A cell's baseline is the variant that differs from it only in the axis. If there is none, it is
    the variant that the suite would have made of the cell with the baseline's value; a default
    that follows from the axis (``jit`` from ``strategy``) then does not keep the two apart.
    """
    cells = tuple(cells)
    pairs = (p for comparison in suite.compare for p in _pairs(cells, comparison, suite, device))
    return tuple(dict.fromkeys(pairs))


def lost_pairs(suite: Suite, device: DeviceType = "cpu") -> tuple[Pair, ...]:
    """Return the comparisons for which ``suite.only`` keeps the variant and drops the baseline."""
    if not suite.only:
        return ()
    full_suite = suite.model_copy(update={"only": []})
    selected = {cell.id for cell in expand(suite, device)}
    pairs = pair_cells(expand(full_suite, device), full_suite, device)
    return tuple(p for p in pairs if p.variant_id in selected and p.baseline_id not in selected)


def lost_baselines(suite: Suite, device: DeviceType = "cpu") -> tuple[LostBaseline, ...]:
    """Return the baselines of ``lost_pairs``, each once."""
    counts = Counter(p.baseline_id for p in lost_pairs(suite, device))
    if not counts:
        return ()
    labels = {c.id: c.label for c in expand(suite.model_copy(update={"only": []}), device)}
    return tuple(LostBaseline(id_, labels[id_], count) for id_, count in counts.items())


def _pairs(
    cells: tuple[Cell, ...], comparison: Comparison, suite: Suite, device: DeviceType
) -> list[Pair]:
    axis, value = comparison.axis, comparison.baseline
    if axis == "label":
        return _label_pairs(cells, value, suite)
    ids = {cell.id for cell in cells}
    pairs = []
    for cell in cells:
        if getattr(cell.variant, axis) == value:
            continue
        for baseline_id in _baseline_candidates(cell, comparison, suite, device):
            if baseline_id in ids and baseline_id != cell.id:
                pairs.append(Pair(axis=axis, variant_id=cell.id, baseline_id=baseline_id))
                break
    if not pairs and not suite.only:
        raise SuiteError(
            f"{suite.source}: compare: no two variants differ only in {axis} with one of them "
            f"{value_text(value)}: correct axis or baseline, or drop the comparison"
        )
    return pairs


def _baseline_candidates(
    cell: Cell, comparison: Comparison, suite: Suite, device: DeviceType
) -> Iterator[str]:
    """Yield the ids that a cell's baseline may have, the closest first."""
    for settings in (cell.variant.model_dump(), without_label(cell.settings)):
        with contextlib.suppress(ValueError):
            other = _with(settings, comparison.axis, comparison.baseline)
            yield Variant.model_validate(complete_settings(other, suite, device)).id


def _with(settings: dict[str, Any], axis: str, value: Any) -> dict[str, Any]:
    # A suite may set the batch size in one way and compare it in the other.
    replaced = BATCH_SIZES if axis in BATCH_SIZES else {axis}
    return {**{k: v for k, v in settings.items() if k not in replaced}, axis: value}


def _label_pairs(cells: tuple[Cell, ...], label: str, suite: Suite) -> list[Pair]:
    with_label = [cell for cell in cells if "label" in cell.settings]
    baselines = [cell.id for cell in with_label if cell.label == label]
    if suite.only and not baselines:
        return []
    if not baselines:
        hint = nearest(label, [cell.label for cell in with_label])
        raise SuiteError(f"{suite.source}: compare: no variant is labelled {label!r}{hint}")
    others = [cell.id for cell in with_label if cell.id != baselines[0]]
    if not others and not suite.only:
        raise SuiteError(f"{suite.source}: compare: only {label!r} has a label: label the others")
    return [Pair(axis="label", variant_id=id_, baseline_id=baselines[0]) for id_ in others]
