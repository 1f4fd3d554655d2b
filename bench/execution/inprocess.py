"""Trials in this very process, one after another: for a debugger, not for figures.

Usage:
    with InProcessExecutor() as executor: ...

What one trial leaves behind (memory, threads, determinism) reaches the next, so ``resolved``
says that the trials shared a process. There is no time limit. A trial fails where TensorFlow does
not see the GPUs that CUDA_VISIBLE_DEVICES leaves, unless BENCH_LOGICAL_GPUS=1.
"""

import contextlib
import functools
import os
import socket
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from types import TracebackType
from typing import Any, Self

from bench.datasets.load import load_arrays, real_variants
from bench.errors import ResourceError
from bench.execution.device_kind import device_here
from bench.execution.executor import EpochEnded, Limits, OnEvent, Started, Warned
from bench.execution.gpu_cache import set_cache
from bench.execution.prune import not_run
from bench.measure.environment import environment, variables
from bench.measure.gpu import visible_gpus
from bench.measure.host import peak_rss_bytes, usable_cores
from bench.records.clock import utc_now
from bench.records.record import EpochRecord, TrialRecord
from bench.spec.plan import Block, Trial


class InProcessExecutor:
    """An executor that trains here and now."""

    name = "inprocess"
    lanes = 1

    def __enter__(self) -> Self:
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

        DatasetError, before the first, where real data cannot be had.
        """
        trials = [trial for block in blocks for trial in block.trials]
        for variant in real_variants(trial.variant for trial in trials):
            load_arrays(variant)
        gpus = () if os.environ.get("BENCH_LOGICAL_GPUS") == "1" else self.gpus
        if gpus:
            os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
            if not_cached := set_cache(os.environ):
                on_event(Warned(not_cached))
        # It would have TensorFlow open a server to all the network.
        os.environ.pop("TF_CONFIG", None)
        # What TensorFlow finds as it is imported, by the first of them.
        given = variables(dict(os.environ))
        for trial in trials:
            if reason := limits.needless(trial):
                yield not_run(trial, reason)
                continue
            on_event(Started(trial, "this process"))
            yield from _attempt(trial, on_event, given, gpus)


def _attempt(
    trial: Trial, on_event: OnEvent, given: dict[str, str], gpus: Sequence[str]
) -> Iterator[TrialRecord]:
    finished: list[EpochRecord] = []

    def on_epoch(epoch: EpochRecord) -> None:
        finished.append(epoch)
        on_event(EpochEnded(trial.trial_id, epoch))

    try:
        record = _train(trial, on_epoch, gpus)
        record = record.model_copy(update={"resolved": {**record.resolved, "variables": given}})
    except KeyboardInterrupt:
        yield TrialRecord(
            trial=trial, status="interrupted", error="interrupted", epochs=tuple(finished)
        )
        raise
    yield record


def _train(
    trial: Trial, on_epoch: Callable[[EpochRecord], None], gpus: Sequence[str]
) -> TrialRecord:
    from bench.training.trial import train

    started_at, started = utc_now(), time.perf_counter()
    load = functools.partial(load_arrays, trial.variant)
    record = train(trial, load, usable_cores(), on_epoch, gpus=gpus)
    measures = record.measures.model_copy(update={"peak_rss_bytes": peak_rss_bytes()})
    return record.model_copy(
        update={
            "measures": measures,
            "resolved": {**record.resolved, "shared_process": True},
            "node": socket.gethostname(),
            "started_at": started_at,
            "wall_s": time.perf_counter() - started,
        }
    )
