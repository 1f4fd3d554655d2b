"""What other programs call; ``import bench`` offers all of it.

Usage:
    suite = bench.load_suite("quick")
    result = bench.run(suite, out="results/runs/mine")
    trials = bench.load_trials(result.path)
"""

import contextlib
import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bench.errors import DataError, UsageError
from bench.execution.run_history import RUNS
from bench.files.user_path import user_path
from bench.records.record import Status
from bench.spec.suite import Suite, load_suite

if TYPE_CHECKING:
    from bench.execution.executor import Executor
    from bench.execution.session import Observer

ExecutorName = Literal["ray", "inprocess", "simulated"]


@dataclass(frozen=True)
class RunResult:
    """Where a run's folder is, and how its trials stand."""

    path: Path
    statuses: dict[str, Status]
    succeeded: bool
    """Whether every trial is completed, diverged or unsupported."""


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
    observer: "Observer | None" = None,
    command: Sequence[str] = (),
) -> RunResult:
    """Run a suite into the folder ``out`` and return where it is and how it went.

    With ``resume``, ``out`` is an earlier run's folder, and what it lacks is run. ``network``
    (ADDRESS/PREFIX; BENCH_NETWORK where it is None) is where a trial's workers on several nodes
    reach each other: docs/security.md says what is open there. Tables of
    what was recorded are written however the run ends; a new run that ends before it has a record
    leaves no folder. Raises UsageError (a SuiteError or a ResourceError among them) where the run
    cannot start, DataError; KeyboardInterrupt passes through once everything finished is on disk.
    """
    from bench.analysis.frame import write_tables
    from bench.execution.executors import make_executor
    from bench.execution.own_folder import modules_beside
    from bench.execution.session import open_folder, run_plan
    from bench.execution.watch import Silent

    if resume and out is None:
        raise UsageError("resuming needs the run folder: give it by --out")
    suite = suite if isinstance(suite, Suite) else load_suite(suite)
    if isinstance(executor, str):
        runner = make_executor(executor, address, device, modules_beside(suite), network)
    else:
        runner = executor
    folder = open_folder(user_path(out or new_path(suite)), suite, resume=resume)
    with folder.locked():
        try:
            outcome = run_plan(
                folder,
                suite,
                runner,
                observer or Silent(),
                retries=retries,
                prune_oom=prune_oom,
                command=command,
            )
        except BaseException:
            if resume or not folder.discard():
                # What ended the run is what the caller must hear of, not what this runs into.
                with contextlib.suppress(DataError):
                    write_tables(folder)
            raise
        write_tables(folder)
    return RunResult(folder.path, outcome.statuses, outcome.succeeded)


def run_on_cluster(
    cluster: Path,
    suite: str,
    out: Path | None,
    options: Sequence[str] = (),
    *,
    resume: bool = False,
    modules: Sequence[Path] = (),
) -> RunResult:
    """Start the cluster of a launcher's file, run a suite there, bring its folder to ``out``.

    ``suite`` is a shipped name or a file, ``options`` are further ones of ``bench run``,
    ``modules`` files and packages beside the suite's file that its workloads are in. Raises
    UsageError where the cluster cannot be had, DataError where nothing comes back. The cluster
    is left running.
    """
    from bench.execution.launch import launch
    from bench.records.store import RunFolder

    if out is None:
        raise UsageError("resuming needs the run folder: give it by --out")
    out = user_path(out)
    if resume:
        RunFolder.open(out)
        options = [*options, "--resume"]
    else:
        RunFolder.check_free(out)
    code = launch(cluster, suite, out, options, modules)
    statuses = {record.trial.trial_id: record.status for record in RunFolder.open(out).records()}
    return RunResult(out, statuses, succeeded=code == 0)


def new_path(suite: Suite) -> Path:
    """A run folder's path that is not taken: the suite's name and the time."""
    now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    path = RUNS / f"{suite.name}-{now}"
    number = 2
    while path.exists():
        path, number = RUNS / f"{suite.name}-{now}-{number}", number + 1
    return path
