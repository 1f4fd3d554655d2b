"""An arm that trains in one process, which a preloader starts.

Usage:
    arm = ProcessArm(preloader, request, shared.descriptor, log)
    list(run_block([arm, ...], TurnSettings(), limits, free_bytes))

Its record also has what the process used, and what others used of its cores, in its turns.
"""

import contextlib
import os
import signal
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.errors import HelperError
from bench.execution.trial_environment.other_load import add_cpu_time
from bench.execution.trial_processes.abort_reason import abort_reason, one_line
from bench.execution.trial_processes.preloader_client import PreloaderClient
from bench.execution.trial_processes.process_failure import process_failure
from bench.execution.trial_processes.trial_process import (
    ProcessExit,
    TrialProcess,
    wait_for_messages,
)
from bench.files.log_tail import log_tail
from bench.measure.cpu_time import TurnMeter
from bench.measure.host import cgroup_oom_kills
from bench.protocol.messages import (
    INVALID_MESSAGE_EXIT,
    EpochTrained,
    Message,
    StartTrial,
    TrialEnd,
    Turn,
    TurnEnd,
)
from bench.records.trial_failure import TrialFailure
from bench.records.trial_record import TrialRecord
from bench.spec.plan import Trial

_EXIT_S = 10.0
"""How long a process may take to end after its last message."""


class ProcessArm:
    """The arm of ``request``; its data are in ``descriptor``, and ``log`` gets its output.

    Its process keeps the descriptors ``kept`` open until it ends. At each start, the files in
    ``empty_folder`` are removed.
    """

    def __init__(
        self,
        preloader: PreloaderClient,
        request: StartTrial,
        descriptor: int,
        log: Path,
        kept: Sequence[int] = (),
        empty_folder: Path | None = None,
    ) -> None:
        self._preloader, self._request = preloader, request
        self._descriptor, self._log, self._kept = descriptor, log, kept
        self._empty_folder = empty_folder
        self._process: TrialProcess | None = None
        self._failure = TrialFailure("failed", "it was not started")
        self._oom_kills: int | None = None
        self._has_trained = False
        """Whether it has finished an epoch."""
        self._meter = TurnMeter(request.threads, request.cores)

    @property
    def trial(self) -> Trial:
        """What it trains."""
        return self._request.trial

    @property
    def pid(self) -> int | None:
        """The process that trains; None before its start and after its end."""
        return self._process.pid if self._process else None

    @property
    def lagging(self) -> tuple[()]:
        """No worker: it has only one."""
        return ()

    def start(self) -> None:
        """Start the process; if there is none, ``receive`` says why."""
        self._oom_kills = cgroup_oom_kills()
        self._meter = TurnMeter(self._request.threads, self._request.cores)
        self._meter.begin()
        self._has_trained = False
        if self._empty_folder:
            # Somebody may have deleted the whole cache.
            with contextlib.suppress(FileNotFoundError):
                for file in self._empty_folder.iterdir():
                    file.unlink()
        try:
            self._process = self._preloader.start()
        except HelperError as error:
            self._failure = TrialFailure("worker_lost", str(error))
            return
        try:
            # In a folder that others can write to, somebody may have replaced the log by a link.
            log = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            self.kill()
            self._failure = TrialFailure("failed", f"its log cannot be opened: {error.strerror}")
            return
        try:
            self._process.send(self._request, [self._descriptor, log, *self._kept])
        finally:
            os.close(log)

    def give(self, turn: Turn) -> None:
        """Let the process train."""
        if self._process:
            if not self._process.has_ended:
                # Another arm's end for memory must not explain a later end of this one.
                self._oom_kills = cgroup_oom_kills()
            self._meter.begin()
            self._process.send(turn)

    def receive(self, timeout_s: float) -> Message | TrialFailure | None:
        """Return the next message, or how the process has ended; None if nothing comes in time."""
        if self._process is None:
            return self._failure
        try:
            message = self._process.receive(timeout_s)
        except TimeoutError:
            return None
        if message is None or isinstance(message, TurnEnd | TrialEnd):
            self._meter.end()
        match message:
            case None:
                return self._failure_of(self._process)
            case TrialEnd(record=record) if self.trial.variant.workers == 1:
                return TrialEnd(record=self.complete(record))
            case EpochTrained():
                self._has_trained = True
        return message

    def kill(self) -> list[str]:
        """Kill the process if it still runs, and wait until it is gone; say so if it stays."""
        process, self._process = self._process, None
        try:
            if process:
                process.close()
        except TimeoutError as error:
            return [f"its process could not be ended: {error}"]
        return []

    def complete(self, record: TrialRecord) -> TrialRecord:
        """Return ``record`` with what its process took: memory, CPU time and imports.

        Waits for the end of the process; what it used is unknown if the kernel does not end it. A
        worker with peers does not end by itself: they may need it until all have sent their
        records. It is killed.
        """
        process, preloaded = self._process, self._preloader.preloaded
        if process is None:
            return record
        ended = _end(process, _EXIT_S if self.trial.variant.workers == 1 else 0.0)
        import_s = self._preloader.take_import_s()
        measures = record.measures.model_copy(update={"import_s": import_s})
        if ended is not None:
            measures = measures.model_copy(update={"peak_rss_bytes": ended.peak_rss_bytes})
        if ended is not None and ended.cpu_s is not None:
            measures = add_cpu_time(measures, self._meter.total(ended.cpu_s))
        warnings = [f"it is no forked process: {preloaded.reason}"] if preloaded.reason else []
        return record.model_copy(
            update={
                "measures": measures,
                "resolved": {**record.resolved, "pid": process.pid},
                "warnings": (*record.warnings, *warnings),
            }
        )

    def _failure_of(self, process: TrialProcess) -> TrialFailure:
        ended = _end(process, _EXIT_S)
        if ended is None:
            return TrialFailure("worker_lost", "its process sent no record and does not end")
        if ended.code == INVALID_MESSAGE_EXIT and process.fault is None:
            return TrialFailure("failed", _refusal(log_tail(self._log) or ""))
        before, now = self._oom_kills, cgroup_oom_kills()
        oom_kills = None if before is None or now is None else now - before
        ended_itself = ended.code > 0 or ended.code == -signal.SIGABRT
        if ended_itself and process.fault is None:
            refusable = self.trial.variant.may_be_refused and not self._has_trained
            if failure := abort_reason(log_tail(self._log) or "", refusable=refusable):
                return TrialFailure(*failure)
        return TrialFailure(*process_failure(ended, process.fault, oom_kills))


def ready_arms(arms: Iterable[ProcessArm], timeout_s: float) -> list[ProcessArm]:
    """Return the arms for which ``receive`` need not wait, as soon as there is one."""
    processes = {arm: arm._process for arm in arms}
    if without := [arm for arm, process in processes.items() if process is None]:
        return without
    ready = wait_for_messages([p for p in processes.values() if p is not None], timeout_s)
    return [arm for arm, process in processes.items() if process in ready]


def _end(process: TrialProcess, timeout_s: float) -> ProcessExit | None:
    """Wait until a process that sends nothing more has ended, and kill it if it does not end.

    Returns None if the kernel does not end it, as while a driver does not answer.
    """
    with contextlib.suppress(TimeoutError):
        return process.exit(timeout_s)
    with contextlib.suppress(TimeoutError):
        return process.close()
    return None


def _refusal(tail: str) -> str:
    """Return the line in which a process has logged why it refused a message."""
    lines = [line for line in tail.splitlines() if line.startswith("its holder sent ")]
    return one_line(lines[-1]) if lines else "its holder sent an invalid message"
