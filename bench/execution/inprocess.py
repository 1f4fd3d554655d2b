"""Trials in this very process, one after another: for a debugger, not for figures.

Usage:
    with InProcessExecutor() as executor: ...

What one trial leaves behind (memory, threads, determinism) reaches the next, so ``resolved``
says that the trials shared a process. There is no time limit. A trial fails where TensorFlow does
not see the GPUs that CUDA_VISIBLE_DEVICES leaves, unless BENCH_LOGICAL_GPUS=1.
"""

import contextlib
import dataclasses
import functools
import os
import socket
import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from types import TracebackType
from typing import Any, Self

from bench.datasets.load import load_arrays, real_variants
from bench.errors import ResourceError
from bench.execution.asking import flags_refused_here
from bench.execution.conflicts import conflict_in
from bench.execution.device_kind import device_here
from bench.execution.executor import EpochEnded, Limits, OnEvent, Started, Warned
from bench.execution.gpu_cache import set_cache
from bench.execution.inherited import check_thread_variables, inherited_here
from bench.execution.load import load_warning, with_cpu_time
from bench.execution.prune import not_run
from bench.execution.worker_variables import worker_variables
from bench.measure.binding import bound_to
from bench.measure.cpu_time import cpu_time
from bench.measure.environment import environment, variables
from bench.measure.gpu import visible_gpus
from bench.measure.host import peak_rss_bytes, usable_cores
from bench.records.clock import utc_now
from bench.records.epoch_record import EpochRecord
from bench.records.record import TrialRecord
from bench.spec.plan import Block, Trial


class InProcessExecutor:
    """An executor that trains here and now."""

    name = "inprocess"
    devices_allotted = False
    lanes = 1

    def __init__(self) -> None:
        self._load: str | None = None

    def __enter__(self) -> Self:
        if conflict := conflict_in(os.environ):
            raise ResourceError(conflict)
        self._load = load_warning(usable_cores())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing was taken, nothing is given back."""

    @property
    def uses_gpus(self) -> bool:
        """Whether this machine has a GPU that TensorFlow may take."""
        return device_here().is_gpu

    @property
    def gpus(self) -> tuple[str, ...]:
        """UUIDs of those that CUDA_VISIBLE_DEVICES leaves; none where the driver does not work."""
        with contextlib.suppress(ResourceError):
            found = visible_gpus(os.environ.get("CUDA_VISIBLE_DEVICES"))
            # CUDA gives a process one MIG instance.
            one = any(gpu.is_instance for gpu in found)
            return tuple(gpu.uuid for gpu in (found[:1] if one else found))
        return ()

    def environment(self) -> dict[str, Any]:
        """This machine's."""
        return {socket.gethostname(): environment()}

    def run(
        self, blocks: Sequence[Block], limits: Limits, on_event: OnEvent
    ) -> Generator[TrialRecord, None, None]:
        """Train each trial in turn; time limits cannot be kept without a process of its own.

        Before the first, DatasetError where real data cannot be had, ResourceError where trials
        cannot have their threads, as where TensorFlow has computed here with others.
        """
        trials = [trial for block in blocks for trial in block.trials]
        threads = _threads(trials)
        for variant in real_variants(trial.variant for trial in trials):
            load_arrays(variant)
        gpus = () if os.environ.get("BENCH_LOGICAL_GPUS") == "1" else self.gpus
        if gpus:
            os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
            if not_cached := set_cache(os.environ):
                on_event(Warned(not_cached))
        if self._load:
            on_event(Warned(self._load))
        refused = flags_refused_here()
        with _bound(trials, threads, gpus) as cores, worker_variables(os.environ, threads):
            _check_tensorflow(threads)
            # What TensorFlow finds as it is imported, by the first of them.
            given = {"variables": variables(dict(os.environ)), **cores}
            for trial in trials:
                if refused:
                    yield TrialRecord(trial=trial, status="failed", error=refused)
                elif reason := limits.needless(trial):
                    yield not_run(trial, reason)
                else:
                    on_event(Started(trial, "this process"))
                    yield from _attempt(trial, on_event, given, gpus, threads)


def _threads(trials: Sequence[Trial]) -> int:
    """How many threads all ``trials`` compute with: a process has one number of them."""
    inherited, cores = inherited_here(), usable_cores()
    if any(trial.variant.threads is None for trial in trials):
        check_thread_variables(inherited, cores)
    counts = {trial.variant.threads or cores for trial in trials}
    if len(counts) > 1:
        raise ResourceError(
            f"trials ask for {sorted(counts)} threads, and one process cannot change theirs: "
            "use --executor ray, or one value of threads"
        )
    threads = max(counts, default=cores)
    if threads > cores:
        raise ResourceError(f"threads {threads} is more than the {cores} cores here: lower threads")
    return threads


def _check_tensorflow(threads: int) -> None:
    """ResourceError where TensorFlow was at work here before, with another number of threads."""
    if "tensorflow" in sys.modules:
        from bench.training.runtime import set_threads

        set_threads(threads)


@contextlib.contextmanager
def _bound(trials: Sequence[Trial], threads: int, gpus: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Bind this process to as many cores where ``threads`` is asked for on a CPU; what to record.

    XLA has a pool of its own, as large as the cores that the process may use.
    """
    if gpus or all(trial.variant.threads is None for trial in trials):
        yield {}
        return
    with bound_to(threads) as binding:
        yield {"allotted": dataclasses.asdict(binding)}


def _attempt(
    trial: Trial, on_event: OnEvent, given: dict[str, Any], gpus: Sequence[str], threads: int
) -> Iterator[TrialRecord]:
    finished: list[EpochRecord] = []

    def on_epoch(epoch: EpochRecord) -> None:
        finished.append(epoch)
        on_event(EpochEnded(trial.trial_id, epoch))

    try:
        record = _train(trial, on_epoch, gpus, threads)
        record = record.model_copy(update={"resolved": {**record.resolved, **given}})
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
    counted = with_cpu_time(record.measures, cpu())
    measures = counted.model_copy(update={"peak_rss_bytes": peak_rss_bytes()})
    return record.model_copy(
        update={
            "measures": measures,
            "resolved": {**record.resolved, "shared_process": True},
            "node": socket.gethostname(),
            "started_at": started_at,
            "wall_s": time.perf_counter() - started,
        }
    )
