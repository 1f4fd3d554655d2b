"""Run blocks in batches: after each, decide whether to run more.

Usage:
    batches = BlockBatches(folder, until)              # the time limit counts from here
    batch = Batch(suite, plan, pending_blocks)
    while batch.blocks:
        for blocks in batches.parts(batch.blocks, parallel_blocks=2): ...   # run them
        batch = batches.after(batch, begun=repeats_with_a_record, results=results)

A suite with a precision has more blocks until its intervals are narrow enough; any other has one
for each block that bad luck has spoiled.

The executor runs the blocks of a part in any order and in parallel. With a time limit, a part is as
many repeats as run at once, so that each is measured; no part starts that would end too late if it
took as long as the longest so far. One part always runs.
"""

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.execution.further_blocks import TrialResult, with_further_blocks
from bench.records.run_folder import RunFolder
from bench.records.stopping_record import Stopping
from bench.spec.plan import Block, Plan, make_plan
from bench.spec.suite import Suite

Look = Callable[[RunFolder, Suite], Stopping]
"""Looks at the intervals of a run of which ``suite.blocks`` blocks have run."""


@dataclass(frozen=True)
class Until:
    """What ends a run whose suite has a precision."""

    look: Look
    max_time_s: float | None = None
    """Wall time of the call after which no block starts."""
    clock: Callable[[], float] = time.perf_counter


@dataclass(frozen=True)
class Batch:
    """Blocks to run, and the run of which they are a part."""

    suite: Suite
    """``suite.blocks`` is the number of blocks that have run once the batch has."""
    plan: Plan
    blocks: tuple[Block, ...]
    """Empty if the run has ended."""
    stopping: Stopping | None = None
    """The look before the batch; None before the first."""


class BlockBatches:
    """The batches of one call."""

    def __init__(self, folder: RunFolder, until: Until | None) -> None:
        self._folder, self._until = folder, until
        self._started_s = until.clock() if until else 0.0
        self._longest_s: float | None = None
        self._out_of_time = False

    def parts(self, blocks: Sequence[Block], parallel_blocks: int) -> Iterator[tuple[Block, ...]]:
        """Yield ``blocks`` in parts, each once the caller has run the part before."""
        if self._until is None or self._until.max_time_s is None:
            yield tuple(blocks)
            return
        for part in _by_repeats(blocks, parallel_blocks):
            if not self._has_time():
                return
            began_s = self._until.clock()
            yield part
            self._longest_s = max(self._longest_s or 0.0, self._until.clock() - began_s)

    def after(self, batch: Batch, begun: int, results: Mapping[str, TrialResult]) -> Batch:
        """Look at the run once ``batch`` has run, and return the next batch.

        ``begun`` is the number of repeats that have a record: the time limit may have left out
        others. ``results`` are those of all trials that have run.
        """
        suite, until = batch.suite, self._until
        if until is None or suite.precision is None:
            return _replacements(batch, results)
        if self._out_of_time:
            suite = suite.model_copy(update={"blocks": begun})
        stopping = until.look(self._folder, suite)
        stopping = stopping.model_copy(update={"max_time_s": until.max_time_s})
        if self._out_of_time or (stopping.further_blocks and not self._has_time()):
            ended = {"rule": "max_time", "further_blocks": 0}
            stopping = stopping.model_copy(update=ended)
        blocks = suite.blocks + stopping.further_blocks
        plan = make_plan(suite.model_copy(update={"blocks": blocks}), batch.plan.device)
        # Trials that failed earlier in this call are left to --resume.
        added = tuple(block for block in plan.blocks if block.repeat >= suite.blocks)
        return Batch(suite.model_copy(update={"blocks": blocks}), plan, added, stopping)

    def _has_time(self) -> bool:
        """Return whether another part would end in time; remember if not."""
        until = self._until
        if until is not None and until.max_time_s is not None and self._longest_s is not None:
            ends_s = until.clock() - self._started_s + self._longest_s
            self._out_of_time = ends_s > until.max_time_s
        return not self._out_of_time


def _replacements(batch: Batch, results: Mapping[str, TrialResult]) -> Batch:
    """Return the blocks that replace spoiled ones, each tried once in a call."""
    plan = with_further_blocks(batch.plan, batch.suite, results)
    before = {trial.trial_id for trial in batch.plan.trials}
    added = (block for block in plan.blocks if block.trials[0].trial_id not in before)
    return Batch(batch.suite, plan, tuple(added))


def with_earlier_blocks(suite: Suite, folder: RunFolder) -> Suite:
    """Return ``suite`` with the blocks that an earlier call has added to the run."""
    if suite.precision is None:
        return suite
    blocks = max(suite.blocks, int(folder.info().suite.get("blocks", 1)))
    return suite.model_copy(update={"blocks": blocks})


def _by_repeats(blocks: Sequence[Block], parallel_blocks: int) -> Iterator[tuple[Block, ...]]:
    """Yield whole repeats together until they are as many blocks as run at once."""
    part: list[Block] = []
    for _, repeat in itertools.groupby(blocks, lambda block: block.repeat):
        part += repeat
        if len(part) >= parallel_blocks:
            yield tuple(part)
            part = []
    if part:
        yield tuple(part)
