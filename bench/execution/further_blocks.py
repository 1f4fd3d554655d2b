"""Add blocks to a run for those that bad luck has spoiled.

Usage:
    plan = with_further_blocks(plan, suite, results)     # results by trial id
    plan.blocks[-1].repeat                               # beyond suite.blocks

The arms of a block are compared only if they trained together. If one was lost, or trained again
later, the block is left out of ratios, though its records are kept. A further block of the same
arms then takes its place, so that an interval rests on as many blocks as the suite asks for.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from bench.records.trial_record import Status, TrialRecord
from bench.spec.plan import Block, Plan, make_plan
from bench.spec.suite import FEWEST_BLOCKS_FOR_INTERVAL, Suite


class TrialResult(NamedTuple):
    """What the last attempt at a trial says about its block."""

    status: Status
    invocation: int
    turns: str | None
    """How it took turns; "trial" if it took none."""
    reason: str | None = None
    """Why it took none; None if it took some, or if nothing is known."""


_BAD_LUCK: frozenset[Status] = frozenset({"worker_lost", "timed_out", "interrupted"})
"""Other ends than these would come again with another try."""
_Arms = tuple[int, frozenset[str]]
"""A part's number and the ids of its variants: what the blocks of a comparison have in common."""


def result_of(record: TrialRecord) -> TrialResult:
    """Return what ``record`` says about its block."""
    turns, reason = (record.resolved.get(name) for name in ("turns", "turns_reason"))
    return TrialResult(record.status, record.invocation, turns, reason)


def with_further_blocks(plan: Plan, suite: Suite, results: Mapping[str, TrialResult]) -> Plan:
    """Return ``plan`` with a block for each of its first ``suite.blocks`` that was spoiled.

    A further block that is spoiled is not made up for. Arms of which no block is whole have none:
    another try would end like the others. Below three blocks there is no interval to keep, and a
    suite with a precision adds blocks by its own rule.
    """
    if suite.blocks < FEWEST_BLOCKS_FOR_INTERVAL or suite.precision is not None:
        return plan
    planned = tuple(block for block in plan.blocks if block.repeat < suite.blocks)
    spoiled, whole = Counter[_Arms](), set[_Arms]()
    for block in planned:
        if _is_spoiled(block, results):
            spoiled[_arms(block)] += 1
        elif all(trial.trial_id in results for trial in block.trials):
            whole.add(_arms(block))
    wanted = {arms: count for arms, count in spoiled.items() if arms in whole and len(arms[1]) > 1}
    further = tuple(_further(plan, suite, wanted)) if wanted else ()
    return plan.model_copy(update={"blocks": (*planned, *further)})


def _further(plan: Plan, suite: Suite, wanted: Mapping[_Arms, int]) -> Iterator[Block]:
    blocks = suite.blocks + max(wanted.values())
    longer = make_plan(suite.model_copy(update={"blocks": blocks}), plan.device)
    for block in longer.blocks:
        if suite.blocks <= block.repeat < suite.blocks + wanted.get(_arms(block), 0):
            yield block


def _is_spoiled(block: Block, results: Mapping[str, TrialResult]) -> bool:
    """Return whether a trial of a block has completed, and another one not together with it.

    A block of which no trial has completed is whole again once it is resumed. Where memory does
    not hold all arms, another block has no more of it.
    """
    known = [results.get(trial.trial_id) for trial in block.trials]
    completed = [result for result in known if result and result.status == "completed"]
    if not completed or any(result.reason == "memory" for result in completed):
        return False
    unlucky = any(result is None or result.status in _BAD_LUCK for result in known)
    retried = any(result.reason == "retried" for result in completed)
    return unlucky or retried or len({result[1:3] for result in completed}) > 1


def _arms(block: Block) -> _Arms:
    return block.trials[0].part, frozenset(trial.variant_id for trial in block.trials)
