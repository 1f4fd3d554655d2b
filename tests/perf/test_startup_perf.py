"""Time how long a user waits before training starts, and the share of training in a run.

    python -m pytest tests/perf/test_startup_perf.py -m perf

It prints figures and judges none. The target is under a second for each command. A run's time for
starting fresh processes is that of TensorFlow's import and compilation.
"""

import statistics
import subprocess
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import bench
from bench.spec.suite import load_suite
from tests.support.processes import COMMAND

pytestmark = pytest.mark.perf

ROUNDS = 10
STAGES = ("import_s", "data_load_s", "build_s", "cold_start_s", "evaluate_s")


@pytest.mark.parametrize("line", ["--help", "suites", "plan quick"])
def test_a_command_that_trains_nothing(
    line: str, benchmark: BenchmarkFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [COMMAND, *line.split()]

    def once() -> None:
        subprocess.run(command, check=True, capture_output=True)

    benchmark.pedantic(once, rounds=ROUNDS, warmup_rounds=1)  # type: ignore[no-untyped-call]
    assert benchmark.stats
    with capsys.disabled():
        print(f"\nbench {line}: {benchmark.stats['median']:.2f} s, the median of {ROUNDS}")


def test_the_parts_of_the_quick_suite_s_wall_time(
    tmp_path: Path, benchmark: BenchmarkFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    suite = load_suite("quick").model_copy(update={"blocks": 1})
    run = benchmark.pedantic(bench.run, args=(suite, tmp_path / "run"), rounds=1)  # type: ignore[no-untyped-call]
    trials = bench.load_trials(run.path)
    epochs_s = bench.load_epochs(run.path).groupby("trial_id")["epoch_s"].sum()
    stages = {name: statistics.median(trials[name]) for name in STAGES}
    stages["epochs"] = statistics.median(epochs_s)
    parts = ", ".join(f"{name.removesuffix('_s')} {s:.2f} s" for name, s in stages.items())
    assert benchmark.stats
    share = epochs_s.sum() / benchmark.stats["total"]
    with capsys.disabled():
        print(f"\na trial of quick (medians): {parts}, in total {trials['wall_s'].median():.2f} s")
        print(f"measured training: {share:.0%} of the run, Ray's start included")
