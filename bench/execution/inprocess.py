"""Run trials in this process, one after another: for debugging, not for measurements.

Usage:
    with InProcessExecutor() as executor: ...

A trial's effects on the process (memory, threads, determinism) reach the next one, so ``resolved``
says that the trials shared a process. There is no time limit. A trial fails if TensorFlow does not
see the GPUs that CUDA_VISIBLE_DEVICES allows, unless BENCH_LOGICAL_GPUS=1.
"""

import contextlib
import dataclasses
import functools
import os
import socket
import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, Self

from bench.datasets.load import load_arrays, real_variants
from bench.errors import ResourceError
from bench.execution.executor import EpochEnd, Limits, OnEvent, RunWarning, TrialStart
from bench.execution.gpus.device_kind import local_device
from bench.execution.gpus.gpu_code_cache import set_code_cache
from bench.execution.oom_skip import skipped_record
from bench.execution.prepared_environment import DEFAULT
from bench.execution.subprocess_probe import refused_xla_flags
from bench.execution.trial_environment.conflicting_settings import conflicting_setting
from bench.execution.trial_environment.inherited_environment import (
    check_thread_variables,
    inherited_environment,
)
from bench.execution.trial_environment.other_load import add_cpu_time, load_warning
from bench.execution.trial_environment.worker_variables import worker_variables
from bench.measure.cpu_binding import bound_to_cores
from bench.measure.cpu_time import cpu_time
from bench.measure.environment import environment
from bench.measure.gpu import visible_gpus
from bench.measure.host import peak_rss_bytes, usable_cores
from bench.records.clock import utc_now
from bench.records.epoch_record import EpochRecord
from bench.records.trial_record import TrialRecord
from bench.spec.environments import DEFAULT_ENVIRONMENT
from bench.spec.plan import Block, Trial
from bench.spec.recorded_variables import recorded_values


class InProcessExecutor:
    """An executor that trains in this process."""

    name = "inprocess"
    devices_allotted = False
    parallel_blocks = 1

    def __init__(self) -> None:
        self._load_warning: str | None = None

    def __enter__(self) -> Self:
        if conflict := conflicting_setting(os.environ):
            raise ResourceError(conflict)
        self._load_warning = load_warning(usable_cores())
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing: nothing was acquired."""

    @property
    def uses_gpus(self) -> bool:
        """Whether this machine has a GPU that TensorFlow may use."""
        return local_device().is_gpu

    @property
    def gpus(self) -> tuple[str, ...]:
        """UUIDs of the GPUs that CUDA_VISIBLE_DEVICES allows; none if the driver does not work."""
        with contextlib.suppress(ResourceError):
            gpus = visible_gpus(os.environ.get("CUDA_VISIBLE_DEVICES"))
            # CUDA gives a process only one MIG instance.
            has_instances = any(gpu.is_instance for gpu in gpus)
            return tuple(gpu.uuid for gpu in (gpus[:1] if has_instances else gpus))
        return ()

    def environment(self) -> dict[str, Any]:
        """Return this machine's environment."""
        return {socket.gethostname(): environment()}

    def run(
        self, blocks: Sequence[Block], limits: Limits, on_event: OnEvent
    ) -> Generator[TrialRecord, None, None]:
        """Train each trial in turn; time limits cannot be enforced without a separate process.

        Before the first trial, raises DatasetError if real data is unavailable, and ResourceError
        if trials cannot have their threads, for example because TensorFlow has already computed
        here with another number.
        """
        trials = [trial for block in blocks for trial in block.trials]
        _check_environments(trials)
        threads = _threads(trials)
        for variant in real_variants(trial.variant for trial in trials):
            load_arrays(variant)
        gpus = () if os.environ.get("BENCH_LOGICAL_GPUS") == "1" else self.gpus
        if gpus:
            os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
            if not_cached := set_code_cache(os.environ):
                on_event(RunWarning(not_cached))
        if self._load_warning:
            on_event(RunWarning(self._load_warning))
        refused = refused_xla_flags()
        with _bind_cores(trials, threads, gpus) as cores, worker_variables(os.environ, threads):
            _check_tensorflow(threads)
            # The variables when the first trial imports TensorFlow.
            context = {
                "environment": DEFAULT.settings(),
                "variables": recorded_values(os.environ),
                **cores,
            }
            for trial in trials:
                if refused:
                    yield TrialRecord(trial=trial, status="failed", error=refused)
                elif reason := limits.skip_reason(trial):
                    yield skipped_record(trial, reason)
                else:
                    on_event(TrialStart(trial, "this process"))
                    yield from _attempt(trial, on_event, context, gpus, threads)


def _check_environments(trials: Sequence[Trial]) -> None:
    """Raise ResourceError if a trial needs an environment of its own."""
    for trial in trials:
        if trial.variant.environment != DEFAULT_ENVIRONMENT:
            raise ResourceError(
                f"environment {trial.variant.environment!r} needs processes of its own: "
                "use --executor ray"
            )


def _threads(trials: Sequence[Trial]) -> int:
    """Return the number of threads of all ``trials``: a process can have only one."""
    inherited, cores = inherited_environment(), usable_cores()
    if any(trial.variant.threads is None for trial in trials):
        check_thread_variables(inherited, cores)
    counts = {trial.variant.threads or cores for trial in trials}
    if len(counts) > 1:
        raise ResourceError(
            f"trials use different numbers of threads {sorted(counts)}, but one process cannot: "
            "use --executor ray, or one value of threads"
        )
    threads = max(counts, default=cores)
    if threads > cores:
        raise ResourceError(f"threads {threads} is more than the {cores} cores here: lower threads")
    return threads


def _check_tensorflow(threads: int) -> None:
    """Raise ResourceError if TensorFlow has already run here with another number of threads."""
    if "tensorflow" in sys.modules:
        from bench.training.runtime import set_threads

        set_threads(threads)


@contextlib.contextmanager
def _bind_cores(
    trials: Sequence[Trial], threads: int, gpus: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Bind this process to as many cores if trials set ``threads`` on a CPU; yield what to record.

    XLA has its own pool, as large as the cores that the process may use.
    """
    if gpus or all(trial.variant.threads is None for trial in trials):
        yield {}
        return
    with bound_to_cores(threads) as binding:
        yield {"allotted": dataclasses.asdict(binding)}


def _attempt(
    trial: Trial, on_event: OnEvent, context: dict[str, Any], gpus: Sequence[str], threads: int
) -> Iterator[TrialRecord]:
    finished: list[EpochRecord] = []

    def on_epoch(epoch: EpochRecord) -> None:
        finished.append(epoch)
        on_event(EpochEnd(trial.trial_id, epoch))

    try:
        record = _train(trial, on_epoch, gpus, threads)
        record = record.model_copy(update={"resolved": {**record.resolved, **context}})
    except KeyboardInterrupt:
        yield TrialRecord(
            trial=trial, status="interrupted", error="interrupted", epochs=tuple(finished)
        )
        raise
    yield record


def _train(
    trial: Trial, on_epoch: Callable[[EpochRecord], None], gpus: Sequence[str], threads: int
) -> TrialRecord:
    from bench.training.trial import train

    started_at, started = utc_now(), time.perf_counter()
    load = functools.partial(load_arrays, trial.variant)
    with cpu_time(threads) as cpu:
        record = train(trial, load, threads, on_epoch, gpus=gpus)
    counted = add_cpu_time(record.measures, cpu())
    measures = counted.model_copy(update={"peak_rss_bytes": peak_rss_bytes()})
    return record.model_copy(
        update={
            "measures": measures,
            "resolved": {
                **record.resolved,
                "shared_process": True,
                "turns": "trial",
                "turns_reason": "asked",
            },
            "node": socket.gethostname(),
            "started_at": started_at,
            "wall_s": time.perf_counter() - started,
        }
    )
