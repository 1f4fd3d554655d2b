"""Run a plan through an executor and record the results in a run folder.

Usage:
    folder, plan = open_folder(path, suite, resume=False)
    with folder.locked():
        outcome = run_plan(folder, suite, executor, observer, plan=plan)

The runner writes each record before it waits for the next trial, so that no measurement is lost,
however the run ends.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench.errors import SuiteError
from bench.execution.block_batches import Batch, BlockBatches, Until, with_earlier_blocks
from bench.execution.custom_workloads.module_folder import importing_from, modules_in_folder
from bench.execution.custom_workloads.workload_check import check_workloads
from bench.execution.environments.prepare import prepared_environments
from bench.execution.estimation.device_memory import too_large
from bench.execution.estimation.estimator import Estimator
from bench.execution.estimation.run_history import measured_times, recent_runs
from bench.execution.executor import (
    Event,
    Executor,
    Forecast,
    FurtherBlocks,
    Limits,
    RunWarning,
    drain,
    no_reason,
)
from bench.execution.further_blocks import TrialResult, result_of, with_further_blocks
from bench.execution.gpus.device_kind import device_of_nodes
from bench.execution.gpus.device_lock import lock_devices
from bench.execution.oom_skip import OomSkipper
from bench.execution.prepared_environment import PreparedEnvironment
from bench.execution.run_entry import GpuEvents, enter_end, run_entry
from bench.records.run_folder import RunFolder
from bench.records.run_info import RunInfo
from bench.records.trial_record import (
    FINAL_STATUSES,
    SUCCESS_STATUSES,
    Status,
    TrialRecord,
)
from bench.spec.device import DeviceType
from bench.spec.norm_groups import had_other_groups
from bench.spec.pairing import LostBaseline, lost_baselines
from bench.spec.plan import Block, Plan, make_plan, plan_anywhere
from bench.spec.suite import Suite, first_difference


class Observer(Protocol):
    """The interface of objects that watch a run."""

    def planned(self, blocks: Sequence[Block], parallel_blocks: int) -> None:
        """Take in the trials that will run now, and how many blocks run at once.

        A run with a precision says so before each batch of blocks.
        """

    def event(self, event: Event) -> None:
        """Take in an event, for example a started trial or a finished epoch."""

    def recorded(self, record: TrialRecord) -> None:
        """Take in the record of a trial that has ended; it is on disk."""


@dataclass(frozen=True)
class Outcome:
    """The result of ``run_plan``."""

    folder: RunFolder
    statuses: dict[str, Status]
    """The status of the last attempt at every recorded trial, by trial id."""
    planned: frozenset[str]
    """The ids of the plan's trials."""

    @property
    def succeeded(self) -> bool:
        """Whether every trial of the plan has completed, diverged or is unsupported."""
        return all(self.statuses.get(trial_id) in SUCCESS_STATUSES for trial_id in self.planned)


def open_folder(path: Path, suite: Suite, *, resume: bool) -> tuple[RunFolder, Plan | None]:
    """Create a run folder for ``suite``, or open the one to resume; SuiteError if they differ.

    Also returns the plan of a new run, for the devices that are likely: ``run_plan`` enters it once
    it knows the devices. Raises SuiteError if the suite has no plan on any device, or the module of
    a workload is missing.
    """
    if not resume or RunFolder.was_never_begun(path):
        plan = plan_anywhere(suite)
        check_workloads(plan.trials, suite)
        info = RunInfo(suite=suite.model_dump(mode="json"), pairs=(), trial_ids=())
        return RunFolder.create(path, info), plan
    folder = RunFolder.open(path)
    difference = first_difference(suite, folder.suite())
    if difference:
        raise SuiteError(f"{path}: belongs to another suite: {difference}: choose another --out")
    return folder, None


def run_plan(
    folder: RunFolder,
    suite: Suite,
    executor: Executor,
    observer: Observer,
    *,
    retries: int = 1,
    prune_oom: bool = False,
    plan: Plan | None = None,
    command: Sequence[str] = (),
    until: Until | None = None,
) -> Outcome:
    """Run the trials that the folder lacks; the caller holds the folder's lock.

    A new run has the ``plan`` of ``open_folder``, or another if the executor has other devices; a
    later call keeps that plan's variants. With ``prune_oom``, batches larger than one that ran out
    of memory are skipped. If the suite has a precision, ``until`` decides how many blocks follow.

    Raises SuiteError if the module or function of a workload is missing, ResourceError if an
    environment cannot be had, StorageError if a record cannot be written. KeyboardInterrupt passes,
    after the executor has yielded the records of running trials.
    """
    started = time.perf_counter()
    state = _RunState(folder)
    batches = BlockBatches(folder, until)
    suite = with_earlier_blocks(suite, folder)
    batch = _batch_to_resume(folder, suite, state, batches)
    if batch is not None and not batch.blocks:
        enter_end(folder, batch)
        return _outcome(folder, state, batch.plan)
    gpu_events = GpuEvents()

    def on_event(event: Event) -> None:
        gpu_events.note(event)
        observer.event(event)

    trials = (batch.plan if batch else plan or plan_anywhere(suite)).trials
    variants = {trial.variant for trial in trials}
    with (
        prepared_environments(suite, variants, folder.write_setup_log, on_event) as environments,
        importing_from(modules_in_folder(suite)),
        executor,
    ):
        if batch is None:
            device: DeviceType = "gpu" if executor.uses_gpus else "cpu"
            if plan is None or plan.device != device:
                plan = make_plan(suite, device)
            batch = state.first_batch(suite, plan)
        lost = lost_baselines(suite, batch.plan.device)
        skipper = state.oom_skipper if prune_oom else None
        limits = _limits(suite, retries, skipper, environments)
        with (
            lock_devices(_shared_devices(executor)) as shared,
            run_entry(folder, batch, executor, command, started, gpu_events) as entry,
        ):
            for warning in shared:
                on_event(RunWarning(warning))
            observer.planned(batch.blocks, executor.parallel_blocks)
            observer.event(_forecast(batch.plan, batch.blocks, executor, folder, lost))
            while batch.blocks:
                for blocks in batches.parts(batch.blocks, executor.parallel_blocks):
                    drain(
                        executor.run(blocks, limits, on_event),
                        lambda record: observer.recorded(state.keep(record, entry.number)),
                    )
                batch = batches.after(batch, state.begun, state.results)
                entry.describe(batch)
                if batch.blocks:
                    observer.event(_further_blocks(batch))
                    observer.planned(batch.blocks, executor.parallel_blocks)
    return _outcome(folder, state, batch.plan)


def _outcome(folder: RunFolder, state: "_RunState", plan: Plan) -> Outcome:
    planned = frozenset(trial.trial_id for trial in plan.trials)
    return Outcome(folder, state.statuses, planned)


def _batch_to_resume(
    folder: RunFolder, suite: Suite, state: "_RunState", batches: BlockBatches
) -> Batch | None:
    """Return what is left of an earlier run; None if the run does not know its devices yet."""
    device = _planned_device(folder.info())
    if device is None:
        return None
    batch = state.first_batch(suite, make_plan(suite, device))
    if not batch.blocks:
        batch = batches.after(batch, state.begun, state.results)
    state.check_meanings(batch.blocks)
    check_workloads((t for block in batch.blocks for t in block.trials), suite)
    return batch


def _further_blocks(batch: Batch) -> FurtherBlocks:
    count = batch.stopping.further_blocks if batch.stopping else len(batch.blocks)
    return FurtherBlocks(count, batch.stopping)


def _limits(
    suite: Suite,
    retries: int,
    oom_skipper: OomSkipper | None,
    environments: Mapping[str, PreparedEnvironment],
) -> Limits:
    return Limits(
        suite.trial_timeout_s,
        suite.stall_timeout_s,
        retries,
        placement_timeout_s=suite.placement_timeout_s,
        skip_reason=oom_skipper.skip_reason if oom_skipper else no_reason,
        turns=suite.turns,
        turn_s=suite.turn_s,
        environments=environments,
    )


def _planned_device(info: RunInfo) -> DeviceType | None:
    """Return the kind of device that the run's variants were chosen for; None if not yet chosen."""
    return info.defaults_for or ("gpu" if info.invocations else None)


def _forecast(
    plan: Plan,
    blocks: Sequence[Block],
    executor: Executor,
    folder: RunFolder,
    lost: tuple[LostBaseline, ...],
) -> Forecast:
    variants = {t.variant_id: t.variant for block in blocks for t in block.trials}
    device = device_of_nodes(
        executor.environment(), on_gpus=executor.uses_gpus, among=executor.gpus
    )
    folders = [folder.path, *recent_runs()]
    estimate = Estimator(device, measured_times(folders, variants, device))
    return Forecast(
        device=device,
        estimates={name: estimate(name, variant) for name, variant in variants.items()},
        too_large=too_large(variants, device.memory_bytes),
        open_jit=frozenset(cell.id for cell in plan.cells if cell.uses_default_jit),
        duplicates=plan.duplicates,
        lost=lost,
    )


def _shared_devices(executor: Executor) -> list[str]:
    """Return the devices that another run may also use: GPUs by UUID, or the CPU of each node."""
    if executor.devices_allotted:
        return []
    return list(executor.gpus) or [f"the CPU of {node}" for node in executor.environment()]


class _RunState:
    """What a run folder already holds, kept up to date with new records."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._attempts: dict[str, int] = {}
        self.results: dict[str, TrialResult] = {}
        self.begun = 0
        """Repeats up to the last one that has a record."""
        self.oom_skipper = OomSkipper()
        self._without_norm_values: set[str] = set()
        # A damaged record is reported before any trial runs.
        for record in folder.records():
            self._note(record)

    @property
    def statuses(self) -> dict[str, Status]:
        """The status of the last attempt at every recorded trial, by trial id."""
        return {trial_id: result.status for trial_id, result in self.results.items()}

    def first_batch(self, suite: Suite, plan: Plan) -> Batch:
        """Return the trials that have no final status, without empty blocks.

        A block that an earlier call has left half done gets one that replaces it, since its
        trials do not run together any more.
        """
        plan = with_further_blocks(plan, suite, self.results)
        finished = {
            trial_id for trial_id, status in self.statuses.items() if status in FINAL_STATUSES
        }
        blocks = (
            Block(
                repeat=block.repeat,
                trials=tuple(t for t in block.trials if t.trial_id not in finished),
            )
            for block in plan.blocks
        )
        return Batch(suite, plan, tuple(block for block in blocks if block.trials))

    def check_meanings(self, pending: Iterable[Block]) -> None:
        """Raise SuiteError if records of a variant to resume were made with other norm values."""
        variants = {t.variant_id: t.variant for block in pending for t in block.trials}
        for variant_id in sorted(self._without_norm_values & variants.keys()):
            if had_other_groups(variants[variant_id]):
                raise SuiteError(
                    f"{self._folder.path}: an older version ran norm "
                    f"'{variants[variant_id].norm}' there, over other values than today's: choose "
                    "another --out"
                )

    def keep(self, record: TrialRecord, invocation: int) -> TrialRecord:
        """Number an attempt, write its record and note its status."""
        trial_id = record.trial.trial_id
        attempt = self._attempts.get(trial_id, 0) + 1
        numbered = record.model_copy(update={"attempt": attempt, "invocation": invocation})
        self._folder.write(numbered)
        self._note(numbered)
        return numbered

    def _note(self, record: TrialRecord) -> None:
        trial_id = record.trial.trial_id
        self.begun = max(self.begun, record.trial.block + 1)
        self._attempts[trial_id] = record.attempt
        self.results[trial_id] = result_of(record)
        if record.resolved.get("norm_layers") and "norm_values" not in record.resolved:
            self._without_norm_values.add(record.trial.variant_id)
        if record.status == "out_of_memory":
            self.oom_skipper.learn(record.trial.variant)
