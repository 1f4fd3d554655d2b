"""The Python interface: load a suite, run it, read its data frames, write its report."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import bench
from bench.analysis.loading.frame_columns import STABLE_EPOCH_COLUMNS, STABLE_TRIAL_COLUMNS
from bench.execution.simulated import SimulatedExecutor
from tests.support.sample_suites import TINY, suite_of, write_suite


@pytest.fixture
def result(tmp_path: Path) -> bench.RunResult:
    return bench.run(suite_of(TINY), tmp_path / "run", executor="simulated")


def test_importing_bench_loads_nothing_heavy_and_every_name_is_there() -> None:
    script = (
        "import sys, bench\n"
        "heavy = {'tensorflow', 'keras', 'ray', 'pandas', 'pyarrow', 'scipy', 'numpy'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "frames = {'load_trials', 'load_attempts', 'load_epochs', 'load_health'}\n"
        "for name in set(bench.__all__) - frames: getattr(bench, name)\n"
        "assert not {'tensorflow', 'ray', 'pandas'} & set(sys.modules)\n"
        "for name in frames: getattr(bench, name)\n"
        "assert not {'tensorflow', 'ray'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'bench' has no attribute 'nope'"):
        bench.nope  # noqa: B018


def test_a_suite_is_loaded_by_its_name_or_its_path(tmp_path: Path) -> None:
    assert bench.load_suite("quick").name == "quick"
    by_path = bench.load_suite(write_suite(tmp_path / "tiny.toml", TINY))
    assert by_path.model_dump() == suite_of(TINY).model_dump()


def test_a_result_has_the_folder_and_the_status_of_each_trial(
    result: bench.RunResult, tmp_path: Path
) -> None:
    assert result.path == tmp_path / "run"
    assert result.succeeded
    assert set(result.statuses.values()) == {"completed"}
    assert set(result.statuses) == set(bench.load_trials(result.path).trial_id)


@pytest.mark.parametrize("form", ["suite", "path", "text"])
def test_a_run_takes_a_suite_its_path_or_its_name(tmp_path: Path, form: str) -> None:
    path = write_suite(tmp_path / "tiny.toml", TINY)
    forms: dict[str, bench.Suite | str | Path] = {
        "suite": suite_of(TINY),
        "path": path,
        "text": str(path),
    }
    suite = forms[form]
    assert bench.run(suite, str(tmp_path / "run"), executor="simulated").succeeded


def test_a_run_takes_a_custom_executor(tmp_path: Path) -> None:
    executor = SimulatedExecutor(devices=2)
    bench.run(suite_of(TINY), tmp_path / "run", executor=executor)
    assert executor.makespan_s > 0


def test_a_run_without_a_folder_makes_one_in_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    paths = [bench.run(suite_of(TINY), executor="simulated").path for _ in range(3)]
    assert len(set(paths)) == 3
    assert {path.parent for path in paths} == {Path("results/runs")}


def test_there_is_one_row_per_trial_with_the_documented_columns(result: bench.RunResult) -> None:
    trials = bench.load_trials(result.path)
    assert isinstance(trials, pd.DataFrame)
    assert set(STABLE_TRIAL_COLUMNS) <= set(trials.columns)
    assert list(trials.order) == [0, 1, 2, 3]
    assert list(trials.seed) == [3, 3, 4, 4]
    assert set(trials.norm) == {"none", "bn_post"}


def test_there_is_one_row_per_epoch_with_the_documented_columns(result: bench.RunResult) -> None:
    epochs = bench.load_epochs(result.path)
    assert set(STABLE_EPOCH_COLUMNS) <= set(epochs.columns)
    assert list(epochs.epoch) == [0, 1] * 4
    assert list(epochs.warmup) == [True, False] * 4


@pytest.mark.slow
def test_a_result_writes_its_report(result: bench.RunResult, tmp_path: Path) -> None:
    files = result.report()
    report = result.path / "report"
    assert set(files) == {path for path in report.rglob("*") if path.is_file()}
    assert {"index.html", "summary.md", "summary.csv"} <= {path.name for path in files}
    elsewhere = result.report(str(tmp_path / "elsewhere"))
    assert {path.relative_to(tmp_path / "elsewhere") for path in elsewhere} == {
        path.relative_to(report) for path in files
    }


def test_trials_have_the_last_attempt_and_attempts_have_all(tmp_path: Path) -> None:
    lost_once = SimulatedExecutor(
        status_of=lambda _trial, attempt: "worker_lost" if attempt == 1 else "completed"
    )
    path = bench.run(suite_of(TINY), tmp_path / "run", executor=lost_once).path
    assert list(bench.load_trials(path).status) == ["completed"] * 4
    assert list(bench.load_attempts(path).status) == ["worker_lost", "completed"] * 4


def test_every_deliberate_error_is_a_bench_error(tmp_path: Path) -> None:
    for wrong in (
        lambda: bench.load_suite("nowhere"),
        lambda: bench.load_trials(tmp_path),
        lambda: bench.load_epochs(tmp_path / "nowhere"),
        lambda: bench.run(suite_of(TINY), tmp_path / "run", resume=True, executor="simulated"),
        lambda: bench.run(suite_of(TINY), resume=True),
        lambda: bench.run(suite_of(TINY), tmp_path / "run", address="nowhere"),
    ):
        with pytest.raises(bench.BenchError):
            wrong()
    assert list(tmp_path.iterdir()) == []
