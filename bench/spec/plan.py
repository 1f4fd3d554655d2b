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
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from bench.errors import SuiteError
from bench.spec.arm_order import ArmOrders
from bench.spec.device import DeviceType
from bench.spec.expand import Cell, Duplicate, Id, expand
from bench.spec.pairing import Pair, pair_cells
from bench.spec.suite import Suite
from bench.spec.timing import Timing
from bench.spec.variant import Variant

_Number = Annotated[int, Field(strict=True, ge=0, lt=2**40)]


class Trial(BaseModel):
    """One variant and one seed, trained once in a fresh process."""

    model_config = ConfigDict(frozen=True)

    trial_id: Id
    variant_id: Id
    label: str
    block: _Number
    """The repeat of the suite that this trial belongs to, from 0."""
    order: _Number
    """Position in the plan, from 0."""
    seed: _Number
    variant: Variant
    timing: Timing = Timing()
    """How the trial times its epochs."""


class Block(BaseModel):
    """Trials that are compared with each other and run one after another on the same devices."""

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

    Raises SuiteError if it has no variant or too many, or if settings contradict each other.
    """
    cells = expand(suite, device)
    pairs = pair_cells(cells, suite, device)
    groups = _compared_groups(cells, pairs)
    orders = [ArmOrders(len(group), f"{suite.seed}:{i}") for i, group in enumerate(groups)]
    blocks: list[Block] = []
    order = 0
    for repeat in range(suite.blocks):
        group_indices = list(range(len(groups)))
        random.Random(f"{suite.seed}:groups:{repeat}").shuffle(group_indices)
        for index in group_indices:
            arms = [groups[index][arm] for arm in orders[index].row(repeat)]
            trials = [_trial(c, repeat, order + i, suite) for i, c in enumerate(arms)]
            blocks.append(Block(repeat=repeat, trials=tuple(trials)))
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


def _trial(cell: Cell, repeat: int, order: int, suite: Suite) -> Trial:
    return Trial(
        trial_id=f"b{repeat:03d}-{cell.id}",
        variant_id=cell.id,
        label=cell.label,
        block=repeat,
        order=order,
        seed=suite.seed + repeat,
        variant=cell.variant,
        timing=suite.timing,
    )


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
