"""Make a plan: the trials of a suite, in blocks whose order a seed decides.

Usage:
    plan = make_plan(suite, "gpu")
    for block in plan.blocks:        # trials compared with each other, on one set of devices
        for trial in block.trials: ...

``arm_order`` balances the order inside a block.
"""

import contextlib
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from bench.errors import SuiteError
from bench.spec.arm_order import ArmOrders
from bench.spec.device import DeviceType
from bench.spec.expand import Cell, Duplicate, Id, expand
from bench.spec.group_parts import group_parts
from bench.spec.pairing import Pair, pair_cells
from bench.spec.same_data import check_same_data
from bench.spec.suite import Suite
from bench.spec.timing import Timing
from bench.spec.variant import Variant

_Number = Annotated[int, Field(strict=True, ge=0, lt=2**40)]


class Trial(BaseModel):
    """One variant and one seed, trained once in a fresh process."""

    model_config = ConfigDict(frozen=True)

    trial_id: Id
    """Block and variant: "b003-ID"; for an arm that further parts of its group train, too,
    "b003-ID-part2" in the second."""
    variant_id: Id
    label: str
    block: _Number
    """The repeat of the suite that this trial belongs to, from 0."""
    part: _Number = 0
    """The part of its group, from 0; a trial is compared with trials of its own part."""
    order: _Number
    """Position in the plan, from 0."""
    seed: _Number
    variant: Variant
    timing: Timing = Timing()
    """How the trial times its epochs."""


class Block(BaseModel):
    """Trials that are compared with each other and run close together on the same devices."""

    model_config = ConfigDict(frozen=True)

    repeat: int
    trials: tuple[Trial, ...]


class Plan(BaseModel):
    """All trials of a run, and the comparisons between their variants."""

    model_config = ConfigDict(frozen=True)

    cells: tuple[Cell, ...]
    """The variants with their labels, in the suite's order."""
    blocks: tuple[Block, ...]
    pairs: tuple[Pair, ...]
    device: DeviceType
    """The kind of device for which the defaults of its variants were chosen."""

    @property
    def duplicates(self) -> tuple[Duplicate, ...]:
        """Variants of the suite that train like others and therefore have no trials."""
        return tuple(duplicate for cell in self.cells for duplicate in cell.duplicates)

    @property
    def trials(self) -> tuple[Trial, ...]:
        """Every trial, in planned order."""
        return tuple(trial for block in self.blocks for trial in block.trials)


def make_plan(suite: Suite, device: DeviceType = "cpu") -> Plan:
    """Return the plan of a suite on ``device``, which depends on nothing else.

    Raises SuiteError if it has no variant or too many, if settings contradict each other, or if
    arms that are compared have different data.
    """
    cells = expand(suite, device)
    pairs = pair_cells(cells, suite, device)
    check_same_data(cells, pairs, suite.source)
    parts = _parts(cells, pairs, suite)
    blocks: list[Block] = []
    order = 0
    for repeat in range(suite.blocks):
        shuffled = list(parts)
        random.Random(f"{suite.seed}:groups:{repeat}").shuffle(shuffled)
        for part in shuffled:
            trials = part.trials(repeat, order, suite)
            blocks.append(Block(repeat=repeat, trials=trials))
            order += len(trials)
    return Plan(cells=tuple(cells), blocks=tuple(blocks), pairs=pairs, device=device)


def plan_anywhere(suite: Suite) -> Plan:
    """Return a plan of a suite before its devices are known: on CPUs, else on GPUs.

    Raises SuiteError if it has no plan on either.
    """
    try:
        return make_plan(suite, "cpu")
    except SuiteError:
        with contextlib.suppress(SuiteError):
            return make_plan(suite, "gpu")
        raise


@dataclass(frozen=True)
class _Part:
    """Cells that are compared with each other, as many as take turns at once."""

    number: int
    """Among the parts of its group, from 0."""
    cells: Sequence[Cell]
    trained_before: frozenset[str]
    """Ids of those cells that an earlier part trains as well."""
    orders: ArmOrders

    def trials(self, repeat: int, order: int, suite: Suite) -> tuple[Trial, ...]:
        """Return the trials of a repeat, numbered from ``order``."""
        arms = [self.cells[index] for index in self.orders.row(repeat)]
        return tuple(self._trial(cell, repeat, order + i, suite) for i, cell in enumerate(arms))

    def _trial(self, cell: Cell, repeat: int, order: int, suite: Suite) -> Trial:
        suffix = f"-part{self.number + 1}" if cell.id in self.trained_before else ""
        return Trial(
            trial_id=f"b{repeat:03d}-{cell.id}{suffix}",
            variant_id=cell.id,
            label=cell.label,
            block=repeat,
            part=self.number,
            order=order,
            seed=suite.seed + repeat,
            variant=cell.variant,
            timing=suite.timing,
        )


def _parts(cells: Sequence[Cell], pairs: Sequence[Pair], suite: Suite) -> list[_Part]:
    """Return the parts of each group."""
    by_id, parts = {cell.id: cell for cell in cells}, []
    for index, group in enumerate(_compared_groups(cells, pairs)):
        trained: set[str] = set()
        ids = [cell.id for cell in group]
        for number, part in enumerate(group_parts(ids, pairs, suite.arms_at_once)):
            seed = f"{suite.seed}:{index}" + (f":part{number}" if number else "")
            orders = ArmOrders(len(part), seed)
            before = frozenset(trained.intersection(part))
            parts.append(_Part(number, [by_id[arm] for arm in part], before, orders))
            trained.update(part)
    return parts


def _compared_groups(cells: Sequence[Cell], pairs: Iterable[Pair]) -> list[list[Cell]]:
    """Return the cells in groups that comparisons connect, in the order of their first cells."""
    group_of = {cell.id: {cell.id} for cell in cells}
    for p in pairs:
        small, large = sorted((group_of[p.variant_id], group_of[p.baseline_id]), key=len)
        if small is not large:
            large |= small
            group_of.update(dict.fromkeys(small, large))
    groups: dict[int, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(id(group_of[cell.id]), []).append(cell)
    return list(groups.values())
