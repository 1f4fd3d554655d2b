"""Time how long an arm takes until it is ready to train, by how its process starts.

Usage:
    python -m tests.perf.readiness results/published/turns/starts.csv --rounds 10

In each round every kind of start runs once, in balanced order. The command writes a row for each,
prints the table of docs/performance.md, then runs `quick` and prints the share of its wall time
that was measured training.
"""

import argparse
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import bench
from bench.datasets.load import load_arrays
from bench.execution.python_command import module_command
from bench.execution.trial_environment.compilation_cache import compilation_cache
from bench.execution.trial_processes.preloader_client import PreloaderClient
from bench.measure.host import usable_cores
from bench.protocol.messages import TrialEnd, TurnEnd
from bench.protocol.shared_arrays import SharedArrays
from bench.records.trial_failure import TrialFailure
from bench.report.text.report_header import wall_time_text
from bench.spec.arm_order import ArmOrders
from bench.spec.plan import Trial
from docs.generate.turn_measurements import StartRow, start_table
from tests.perf.fresh_trial import READY
from tests.perf.row_file import write_rows
from tests.perf.trial_arms import PATIENCE_S, cpu_arm, cpu_request, cpu_variables
from tests.support.sample_trials import trial_labelled

NOTEBOOK: dict[str, Any] = {"hidden": [300, 100], "norm": "bn_post", "global_batch_size": 32}
"""The notebook's network with batch norm, whose program takes longest to compile."""
UNFORKABLE = "tests.support.threaded_import"
"""A module after whose import a preloader must start new interpreters."""


def measure_starts(trial: Trial, rounds: int) -> Iterator[StartRow]:
    """Start ``trial`` in each way once a round; yield how long each start took."""
    with (
        tempfile.TemporaryDirectory() as folder,
        SharedArrays(load_arrays(trial.variant)) as shared,
    ):
        starts = _Starts(trial, shared, Path(folder) / "log")
        starts.kept()  # fills the folder of compiled programs
        ways: tuple[Callable[[], Mapping[str, float]], ...]
        ways = (starts.fresh, starts.spawned, starts.forked, starts.kept)
        orders = ArmOrders(len(ways), "starts")
        for number in range(rounds):
            for index in orders.row(number):
                for start, seconds in ways[index]().items():
                    yield StartRow(round=number, start=start, seconds=seconds)


class _Starts:
    """The kinds of start of a trial; each returns seconds by the name of what they are for."""

    def __init__(self, trial: Trial, shared: SharedArrays, log: Path) -> None:
        self._trial, self._shared, self._log = trial, shared, log
        self._variables = cpu_variables()

    def fresh(self) -> dict[str, float]:
        """Start a process that nothing prepares."""
        request = cpu_request(self._trial, self._shared).model_dump_json()
        descriptor = self._shared.descriptor
        command = module_command("tests.perf.fresh_trial", request, str(descriptor))
        started = time.perf_counter()
        with self._log.open("wb") as log:
            process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=log,
                env=self._variables,
                pass_fds=[descriptor],
                text=True,
            )
        assert process.stdout
        with process.stdout as output:
            line = output.readline()
            seconds = time.perf_counter() - started
        process.wait(PATIENCE_S)
        if line.strip() != READY:
            raise SystemExit(f"the fresh process failed: {self._log.read_text()[-2000:]}")
        return {"fresh": seconds}

    def spawned(self) -> dict[str, float]:
        """Start an interpreter from a preloader that must not fork."""
        _, ready_s = self._from_preloader(self._variables, modules=(UNFORKABLE,))
        return {"spawned": ready_s}

    def forked(self) -> dict[str, float]:
        """Start a preloader, which imports TensorFlow, and fork a process from it."""
        preloaded_s, ready_s = self._from_preloader(self._variables)
        return {"preloader": preloaded_s, "forked": ready_s}

    def kept(self) -> dict[str, float]:
        """Fork a process that finds its programs compiled."""
        with compilation_cache(self._variables, usable_cores(), repeat=1) as cache:
            if cache.warning:
                raise SystemExit(cache.warning)
            _, ready_s = self._from_preloader({**self._variables, **cache.for_process().variables})
        return {"kept": ready_s}

    def _from_preloader(
        self, variables: Mapping[str, str], modules: tuple[str, ...] = ("bench.training.trial",)
    ) -> tuple[float, float]:
        """Return the seconds until a preloader has imported, and then until an arm is ready."""
        started = time.perf_counter()
        with PreloaderClient(variables=variables, modules=modules) as preloader:
            preloaded = time.perf_counter()
            arm = cpu_arm(preloader, self._trial, self._shared, self._log)
            arm.start()
            while not isinstance(message := arm.receive(PATIENCE_S), TurnEnd):
                if message is None or isinstance(message, TrialEnd | TrialFailure):
                    raise SystemExit(f"the arm did not become ready: {message}")
            ready = time.perf_counter()
            arm.kill()
        return preloaded - started, ready - preloaded


def wall_time_of_quick(folder: Path) -> str:
    """Run `quick` into ``folder`` and say which share of its wall time was measured training."""
    return wall_time_text(bench.run("quick", folder).summary.wall)


def main() -> None:
    """Measure, write the rows, and print the table and the share."""
    parser = argparse.ArgumentParser(description="Time how long an arm takes until it is ready.")
    parser.add_argument("file", type=Path, help="the CSV file to write")
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    trial = trial_labelled("arm", **NOTEBOOK)
    write_rows(options.file, StartRow, measure_starts(trial, options.rounds))
    print(start_table(options.file))
    with tempfile.TemporaryDirectory() as folder:
        print(f"quick: {wall_time_of_quick(Path(folder) / 'quick')}")


if __name__ == "__main__":
    main()
