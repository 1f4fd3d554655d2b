"""The Python interface; ``import bench`` offers all of it.

Usage:
    suite = bench.load_suite("quick")
    result = bench.run(suite, out="results/runs/mine")
    trials = bench.load_trials(result.path)
    files = result.report()
"""

import contextlib
import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bench.errors import DataError, UsageError
from bench.execution.estimation.run_history import RUNS
from bench.files.user_path import user_path
from bench.records.run_folder import RunFolder
from bench.records.trial_record import Status
from bench.spec.suite import Suite, load_suite

if TYPE_CHECKING:
    from bench.analysis.loading.run_frames import RunFrames
    from bench.analysis.summary import Summary
    from bench.execution.executor import Executor
    from bench.execution.runner import Observer
    from bench.records.stopping_record import Stopping

ExecutorName = Literal["ray", "inprocess", "simulated"]


@dataclass(frozen=True)
class RunResult:
    """The folder of a run, the status of each trial by its id, and the results."""

    path: Path
    statuses: dict[str, Status]
    succeeded: bool
    """Whether every trial is completed, diverged or unsupported."""
    summary: "Summary" = field(repr=False, compare=False)
    """The numbers behind the table that ``bench run`` prints."""

    def report(self, out: Path | str | None = None) -> tuple[Path, ...]:
        """Write the run's tables, its charts and a page, as ``bench report`` does.

        They go to ``out``, by default the run folder's ``report``. Returns the files. Raises
        RunFolderError for a damaged run folder, HelperError if the process that draws charts dies,
        StorageError if the files cannot be written.
        """
        from bench.report.full_report import full_report

        return full_report([self.path], None if out is None else user_path(out)).files


def run(
    suite: Suite | str | Path,
    out: Path | str | None = None,
    *,
    resume: bool = False,
    executor: "ExecutorName | Executor" = "ray",
    address: str | None = None,
    device: Literal["auto", "cpu", "gpu"] = "auto",
    network: str | None = None,
    retries: int = 1,
    prune_oom: bool = False,
    max_time_s: float | None = None,
    observer: "Observer | None" = None,
    command: Sequence[str] = (),
) -> RunResult:
    """Run a suite into the folder ``out``; return the folder and the statuses of the trials.

    With ``resume``, ``out`` is the folder of an earlier run, and only its missing trials run.
    ``network`` (ADDRESS/PREFIX, by default BENCH_NETWORK) is where a trial's workers on several
    nodes reach each other; docs/security.md says what is open there. A suite with a ``precision``
    runs until its ratios are that precise, and starts no block that would end more than
    ``max_time_s`` after the call began. The tables of recorded trials are written however the run
    ends; a new run that ends without a record leaves no folder.

    Raises UsageError (or its subclasses SuiteError and ResourceError) if the run cannot start, and
    DataError for stored data. KeyboardInterrupt passes through once all finished trials are saved.
    """
    from bench.execution.block_batches import Until
    from bench.execution.custom_workloads.module_folder import modules_in_folder
    from bench.execution.executor_registry import make_executor
    from bench.execution.null_observer import NullObserver
    from bench.execution.runner import open_folder, run_plan

    if resume and out is None:
        raise UsageError("to resume a run, name its folder with --out")
    suite = suite if isinstance(suite, Suite) else load_suite(suite)
    check_max_time(suite, max_time_s)
    if isinstance(executor, str):
        executor = make_executor(executor, address, device, modules_in_folder(suite), network)
    folder, plan = open_folder(user_path(out or new_path(suite)), suite, resume=resume)
    with folder.locked():
        try:
            outcome = run_plan(
                folder,
                suite,
                executor,
                observer or NullObserver(),
                retries=retries,
                prune_oom=prune_oom,
                plan=plan,
                command=command,
                until=Until(_look, max_time_s),
            )
        except BaseException:
            if resume or not folder.discard():
                # The caller must see what ended the run, not an error of these tables.
                with contextlib.suppress(DataError):
                    _write_tables(folder)
            raise
        frames = _write_tables(folder)
    return RunResult(folder.path, outcome.statuses, outcome.succeeded, _summary_of(frames))


def check_max_time(suite: Suite, max_time_s: float | None) -> None:
    """Raise UsageError if ``max_time_s`` is to end a run that has nothing else to end it early."""
    if max_time_s is not None and suite.precision is None:
        raise UsageError("--max-time needs a precision: add --until 2%")
    if max_time_s is not None and max_time_s <= 0:
        raise UsageError(f"max_time_s {max_time_s} is not above 0: raise it")


def _look(folder: RunFolder, suite: Suite) -> "Stopping":
    """Look at the intervals of a run. pandas is loaded only for runs with a precision."""
    from bench.analysis.questions.narrow_enough import narrow_enough

    return narrow_enough(folder, suite)


def _write_tables(folder: RunFolder) -> "RunFrames":
    """Read a run and write its tables, once the trials have ended: this loads pandas."""
    from bench.analysis.loading.run_frames import read_frames, write_tables

    frames = read_frames(folder)
    write_tables(frames)
    return frames


def _summary_of(frames: "RunFrames") -> "Summary":
    """Summarise a run whose tables are written. An interrupted run does not need this."""
    from bench.analysis.summary import summary_of

    return summary_of(frames)


def run_on_cluster(
    cluster: Path,
    suite: str,
    out: Path | None,
    options: Sequence[str] = (),
    *,
    resume: bool = False,
    modules: Sequence[Path] = (),
) -> RunResult:
    """Start the cluster of a launcher's file, run a suite there, and copy its folder to ``out``.

    ``suite`` is a shipped name or a file; ``options`` are further options of ``bench run``;
    ``modules`` are the files and packages of its custom workloads, beside the suite's file. The
    cluster keeps running. Raises UsageError if the cluster is unavailable, and DataError if no
    run folder comes back.
    """
    from bench.analysis.loading.run_frames import read_frames
    from bench.analysis.summary import summary_of
    from bench.execution.launching.launch import launch

    if out is None:
        raise UsageError("to resume a run, name its folder with --out")
    out = user_path(out)
    if resume:
        RunFolder.open(out)
        options = [*options, "--resume"]
    else:
        RunFolder.check_free(out)
    code = launch(cluster, suite, out, options, modules)
    frames = read_frames(RunFolder.open(out))
    statuses = dict(zip(frames.trials["trial_id"], frames.trials["status"], strict=True))
    return RunResult(out, statuses, code == 0, summary_of(frames))


def new_path(suite: Suite) -> Path:
    """Return the path of a new run folder: the suite's name, the time and a number if needed."""
    now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    path = RUNS / f"{suite.name}-{now}"
    number = 2
    while path.exists():
        path, number = RUNS / f"{suite.name}-{now}-{number}", number + 1
    return path
