"""Enter a call of ``bench run`` into run.json, with the current plan.

Usage:
    with run_entry(folder, batch, executor, command, started, gpu_events) as entry:
        entry.number            # of the call
        entry.describe(batch)   # the run has another batch of blocks, or has ended
"""

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from bench.errors import StorageError
from bench.execution.block_batches import Batch
from bench.execution.executor import Event, Executor, RunWarning
from bench.measure.environment import environment
from bench.records.clock import utc_now
from bench.records.run_folder import RunFolder
from bench.records.run_info import Invocation, RunInfo
from bench.records.trial_record import ExcludedGpus


@dataclass
class GpuEvents:
    """What the executor reports about GPUs during a call."""

    left_out: list[ExcludedGpus] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def note(self, event: Event) -> None:
        """Keep an event that is about GPUs, or a warning."""
        if isinstance(event, ExcludedGpus):
            self.left_out.append(event)
        elif isinstance(event, RunWarning):
            self.warnings.append(event.reason)


class RunEntry:
    """This call's entry in run.json, beside the run as planned now."""

    def __init__(self, folder: RunFolder, batch: Batch, call: Invocation) -> None:
        self._folder, self._info, self.call = folder, _run_info(batch), call
        self._before = folder.info().invocations
        self.number = len(self._before)
        self.write(call)

    def write(self, call: Invocation) -> None:
        """Replace the entry."""
        self.call = call
        invocations = (*self._before, call)
        self._folder.write_info(self._info.model_copy(update={"invocations": invocations}))

    def describe(self, batch: Batch) -> None:
        """Write the plan of ``batch``, and what the run looked like before it."""
        if batch.blocks or batch.stopping is not None:
            self._info = _run_info(batch)
            self.write(self.call)


@contextlib.contextmanager
def run_entry(
    folder: RunFolder,
    batch: Batch,
    executor: Executor,
    command: Sequence[str],
    started: float,
    gpu_events: GpuEvents,
) -> Iterator[RunEntry]:
    """Enter this call into run.json now, and again with its wall time when it ends.

    ``batch`` has the run as planned now, ``started`` is the value of ``time.perf_counter`` when the
    call began, and ``gpu_events`` is read when it ends.
    """
    call = Invocation(
        started_at=utc_now(),
        command=tuple(command),
        executor=executor.name,
        environment={"driver": environment(), **executor.environment()},
        lanes=executor.parallel_blocks,
    )
    entry = RunEntry(folder, batch, call)
    try:
        yield entry
    finally:
        # A full disk has been reported already, along with the record that could not be written.
        with contextlib.suppress(StorageError):
            gpus = {"left_out": tuple(gpu_events.left_out), "warnings": tuple(gpu_events.warnings)}
            wall_s = time.perf_counter() - started
            entry.write(call.model_copy(update={"wall_s": wall_s, **gpus}))


def enter_end(folder: RunFolder, batch: Batch) -> None:
    """Enter into run.json which rule has ended a run, if a killed call has not."""
    info, stopping = folder.info(), batch.stopping
    if stopping and (info.stopping is None or info.stopping.rule != stopping.rule):
        ended = {"suite": batch.suite.model_dump(mode="json"), "stopping": stopping}
        folder.write_info(info.model_copy(update=ended))


def _run_info(batch: Batch) -> RunInfo:
    plan = batch.plan
    return RunInfo(
        suite=batch.suite.model_dump(mode="json"),
        defaults_for=plan.device,
        pairs=plan.pairs,
        trial_ids=tuple(trial.trial_id for trial in plan.trials),
        labels={cell.id: cell.label for cell in plan.cells},
        duplicates=plan.duplicates,
        stopping=batch.stopping,
    )
