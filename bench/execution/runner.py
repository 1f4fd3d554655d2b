"""A plan, through an executor, into a run folder.

Usage:
    folder = open_folder(path, suite, resume=False)
    with folder.locked():
        outcome = run_plan(folder, suite, executor, observer)

Each record is on disk before the next is waited for, so that nothing measured is lost,
whatever ends the run.
"""

import contextlib
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from bench.errors import StorageError, SuiteError
from bench.execution.custom_workloads.module_folder import importing_from, modules_in_folder
from bench.execution.custom_workloads.workload_check import check_workloads
from bench.execution.estimation.estimator import Estimator
from bench.execution.estimation.run_history import measured_times, recent_runs
from bench.execution.executor import Event, Executor, Expected, Limits, Warned, drain
from bench.execution.gpus.device_kind import device_of_nodes
from bench.execution.gpus.device_lock import lock_devices
from bench.execution.gpus.device_memory import too_large
from bench.execution.oom_skip import OomSkipper
from bench.measure.environment import environment
from bench.records.clock import utc_now
from bench.records.run_folder import Invocation, RunFolder, RunInfo
from bench.records.trial_record import (
    FINAL_STATUSES,
    SUCCESS_STATUSES,
    ExcludedGpus,
    Status,
    TrialRecord,
)
from bench.spec.default_jit import DeviceType
from bench.spec.norm_groups import had_other_groups
from bench.spec.pairing import LostBaseline, lost_baselines
from bench.spec.plan import Block, Plan, Trial, make_plan, plan_anywhere
from bench.spec.suite import Suite, first_difference


class Observer(Protocol):
    """Somebody who watches a run."""

    def planned(self, blocks: Sequence[Block], lanes: int) -> None:
        """The trials that are to run now, and how many blocks run at once."""

    def event(self, event: Event) -> None:
        """What is expected; a trial started, an epoch ended, a block waits, GPUs are left out."""

    def recorded(self, record: TrialRecord) -> None:
        """A trial ended, and its record is on disk."""


@dataclass(frozen=True)
class Outcome:
    """How a call of ``run_plan`` ended."""

    folder: RunFolder
    statuses: dict[str, Status]
    """The last attempt's status of every trial recorded so far, by trial."""
    planned: int

    @property
    def succeeded(self) -> bool:
        """Whether every trial of the plan is completed, diverged or unsupported."""
        return (
            len(self.statuses) == self.planned and set(self.statuses.values()) <= SUCCESS_STATUSES
        )


def open_folder(path: Path, suite: Suite, *, resume: bool) -> RunFolder:
    """A new run folder for ``suite``, or the one to go on with; SuiteError if it differs.

    The plan of a new run is entered by ``run_plan``, which knows the devices. SuiteError where
    there is none on any, or where the module of a workload is not here.
    """
    if not resume or RunFolder.was_never_begun(path):
        check_workloads(plan_anywhere(suite).trials, suite)
        info = RunInfo(suite=suite.model_dump(mode="json"), pairs=(), trial_ids=())
        return RunFolder.create(path, info)
    folder = RunFolder.open(path)
    difference = first_difference(suite, folder.suite())
    if difference:
        raise SuiteError(f"{path}: was made from another suite: {difference}: choose another --out")
    return folder


def run_plan(
    folder: RunFolder,
    suite: Suite,
    executor: Executor,
    observer: Observer,
    *,
    retries: int = 1,
    prune_oom: bool = False,
    command: Sequence[str] = (),
) -> Outcome:
    """Run what the folder lacks and return how it stands; the caller holds the folder's lock.

    A new run is planned once the executor knows its devices; a later call keeps that plan's
    variants. With ``prune_oom``, batches larger than one that was out of memory are not tried.

    Raises SuiteError where the module or the function of a workload is not here, StorageError
    where a record cannot be kept. KeyboardInterrupt passes through, once the executor has given
    the records of what it was running.
    """
    started = time.perf_counter()
    ledger = _RunState(folder)
    chosen_for = _defaults_for(folder.info())
    plan = make_plan(suite, chosen_for) if chosen_for else None
    if plan:
        pending = ledger.pending(plan)
        if not pending:
            return Outcome(folder, ledger.statuses, len(plan.trials))
        ledger.check_meanings(pending)
        check_workloads((t for block in pending for t in block.trials), suite)
    told = _GpuEvents()

    def on_event(event: Event) -> None:
        told.note(event)
        observer.event(event)

    with importing_from(modules_in_folder(suite)), executor:
        plan = plan or make_plan(suite, "gpu" if executor.uses_gpus else "cpu")
        pending = ledger.pending(plan)
        lost = lost_baselines(suite, plan.device)
        limits = _limits(suite, retries, ledger.pruning if prune_oom else None)
        grown = _info(suite, plan)
        with (
            lock_devices(_devices(executor)) as shared,
            _invocation(folder, grown, executor, command, started, told) as number,
        ):
            for warning in shared:
                on_event(Warned(warning))
            observer.planned(pending, executor.lanes)
            observer.event(_expected(plan, pending, executor, folder, lost))
            drain(
                executor.run(pending, limits, on_event),
                lambda record: observer.recorded(ledger.keep(record, number)),
            )
    return Outcome(folder, ledger.statuses, len(plan.trials))


def _limits(suite: Suite, retries: int, pruning: OomSkipper | None) -> Limits:
    return Limits(
        suite.trial_timeout_s,
        suite.stall_timeout_s,
        retries,
        placement_timeout_s=suite.placement_timeout_s,
        skip_reason=pruning.skip_reason if pruning else _always_worth_it,
    )


def _defaults_for(info: RunInfo) -> DeviceType | None:
    """The kind of device for which a run's variants were chosen, which it keeps; None before."""
    return info.defaults_for or ("gpu" if info.invocations else None)


def _expected(
    plan: Plan,
    blocks: Sequence[Block],
    executor: Executor,
    folder: RunFolder,
    lost: tuple[LostBaseline, ...],
) -> Expected:
    variants = {t.variant_id: t.variant for block in blocks for t in block.trials}
    device = device_of_nodes(
        executor.environment(), on_gpus=executor.uses_gpus, among=executor.gpus
    )
    folders = [folder.path, *recent_runs()]
    estimate = Estimator(device, measured_times(folders, variants, device))
    return Expected(
        device=device,
        estimates={name: estimate(name, variant) for name, variant in variants.items()},
        too_large=too_large(variants, device.memory_bytes),
        open_jit=frozenset(cell.id for cell in plan.cells if cell.uses_default_jit),
        duplicates=plan.duplicates,
        lost=lost,
    )


def _devices(executor: Executor) -> list[str]:
    """What another run may be on, too: GPUs by UUID, or the CPU of each node."""
    if executor.devices_allotted:
        return []
    return list(executor.gpus) or [f"the CPU of {node}" for node in executor.environment()]


def _always_worth_it(_trial: Trial) -> None:
    return None


def _info(suite: Suite, plan: Plan) -> RunInfo:
    return RunInfo(
        suite=suite.model_dump(mode="json"),
        defaults_for=plan.device,
        pairs=plan.pairs,
        trial_ids=tuple(trial.trial_id for trial in plan.trials),
        labels={cell.id: cell.label for cell in plan.cells},
        duplicates=plan.duplicates,
    )


@dataclass
class _GpuEvents:
    """What the executor tells of the GPUs during a call."""

    left_out: list[ExcludedGpus] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def note(self, event: Event) -> None:
        if isinstance(event, ExcludedGpus):
            self.left_out.append(event)
        elif isinstance(event, Warned):
            self.warnings.append(event.reason)


class _RunState:
    """What a run folder holds already, kept in step with what is added to it."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._attempts: dict[str, int] = {}
        self.statuses: dict[str, Status] = {}
        self.pruning = OomSkipper()
        self._without_norm_values: set[str] = set()
        # All that is wrong is told of before anything is trained.
        for record in folder.records():
            self._note(record)

    def pending(self, plan: Plan) -> tuple[Block, ...]:
        """The plan without its settled trials, and without the blocks that leaves empty."""
        settled = {
            trial_id for trial_id, status in self.statuses.items() if status in FINAL_STATUSES
        }
        left = (
            Block(
                repeat=block.repeat,
                trials=tuple(t for t in block.trials if t.trial_id not in settled),
            )
            for block in plan.blocks
        )
        return tuple(block for block in left if block.trials)

    def check_meanings(self, pending: Iterable[Block]) -> None:
        """SuiteError where a variant that is to go on has records of other norms."""
        variants = {t.variant_id: t.variant for block in pending for t in block.trials}
        for variant_id in sorted(self._without_norm_values & variants.keys()):
            if had_other_groups(variants[variant_id]):
                raise SuiteError(
                    f"{self._folder.path}: an older version ran norm "
                    f"'{variants[variant_id].norm}' there, over other values than today's: choose "
                    "another --out"
                )

    def keep(self, record: TrialRecord, invocation: int) -> TrialRecord:
        """Number an attempt, write it, and remember how it ended."""
        trial_id = record.trial.trial_id
        attempt = self._attempts.get(trial_id, 0) + 1
        numbered = record.model_copy(update={"attempt": attempt, "invocation": invocation})
        self._folder.write(numbered)
        self._note(numbered)
        return numbered

    def _note(self, record: TrialRecord) -> None:
        trial_id = record.trial.trial_id
        self._attempts[trial_id] = record.attempt
        self.statuses[trial_id] = record.status
        if record.resolved.get("norm_layers") and "norm_values" not in record.resolved:
            self._without_norm_values.add(record.trial.variant_id)
        if record.status == "out_of_memory":
            self.pruning.learn(record.trial.variant)


@contextlib.contextmanager
def _invocation(
    folder: RunFolder,
    grown: RunInfo,
    executor: Executor,
    command: Sequence[str],
    started: float,
    told: _GpuEvents,
) -> Iterator[int]:
    """Enter this call into run.json, at once and again, with its wall time, when it ends.

    ``grown`` is the run as it is planned now, ``started`` the reading of ``time.perf_counter``
    at which the call began, ``told`` what the executor has told of the GPUs when it ends.
    """
    call = Invocation(
        started_at=utc_now(),
        command=tuple(command),
        executor=executor.name,
        environment={"driver": environment(), **executor.environment()},
        lanes=executor.lanes,
    )
    before = folder.info().invocations

    def enter(call: Invocation) -> None:
        folder.write_info(grown.model_copy(update={"invocations": (*before, call)}))

    enter(call)
    try:
        yield len(before)
    finally:
        # A disk that is full has been told of already, with what there was to save.
        with contextlib.suppress(StorageError):
            gpus = {"left_out": tuple(told.left_out), "warnings": tuple(told.warnings)}
            took = {"wall_s": time.perf_counter() - started, **gpus}
            enter(call.model_copy(update=took))
