"""Faults of Ray's own processes during a run: an end in time, its records and tables, one line."""

import signal
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from bench.records.store import RunFolder
from tests.fault_table import FAULTS
from tests.processes import PATIENCE_S, Running, gone_within, session_of, started
from tests.suites_made import ENDLESS, written

pytestmark = pytest.mark.slow

FEW_EPOCHS = 3


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    return written(tmp_path / "endless.toml", ENDLESS)


def process_of(run: Running, name: str) -> psutil.Process:
    """The process of the run's own Ray with that in its command line; waited for."""
    ends = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends:
        for process in session_of(run.process.pid):
            if name in " ".join(process.cmdline()[:1]):
                return process
        time.sleep(0.02)
    raise AssertionError(f"there is no {name}: {run.stderr}")


def wait_for_epochs(run: Running) -> None:
    """Until a worker has finished some epochs, whether or not the run has heard of them."""
    worker = run.wait_for_training()
    ends = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends:
        for file in {f.path for f in worker.open_files() if f.path.endswith(".log")}:
            epochs = Path(file).with_suffix(".epochs")
            if epochs.exists() and len(epochs.read_bytes().splitlines()) > FEW_EPOCHS:
                return
        time.sleep(0.1)
    raise AssertionError(f"no epoch: {run.stderr}")


@pytest.mark.parametrize(
    ("name", "number", "fault"),
    [
        ("raylet/raylet", signal.SIGKILL, "raylet killed"),
        ("ray::RuntimeEnvAgent", signal.SIGKILL, "agent killed"),
        ("gcs_server", signal.SIGSTOP, "head frozen"),
    ],
)
def test_a_process_of_ray_s_that_ends_or_freezes_ends_the_run_with_its_records(
    endless: Path, tmp_path: Path, name: str, number: signal.Signals, fault: str
) -> None:
    out, seen = tmp_path / "run", FAULTS[fault]
    with started("run", endless, "--out", out, "--retries", "0") as run:
        wait_for_epochs(run)
        process_of(run, name).send_signal(number)
        code, said = run.process.wait(PATIENCE_S), run.stderr
        assert gone_within(10, run.process.pid) == []
    assert code == seen.code, said
    assert said.splitlines()[-1].startswith("bench: ")
    assert seen.line in said.splitlines()[-1]
    (record,) = RunFolder.open(out).records()
    assert record.status == seen.status
    assert len(record.epochs) > FEW_EPOCHS
    assert (out / "trials.csv").read_text().count(record.status) == 1


def test_a_signal_is_heeded_while_a_raylet_is_stopped(endless: Path, tmp_path: Path) -> None:
    out, seen = tmp_path / "run", FAULTS["raylet frozen"]
    # Of a short name, which Ray's sockets have room for.
    with (
        tempfile.TemporaryDirectory(dir="/tmp") as base,
        started("run", endless, "--out", out, env={"RAY_TMPDIR": base}) as run,
    ):
        wait_for_epochs(run)
        process_of(run, "raylet/raylet").suspend()
        run.process.send_signal(signal.SIGTERM)
        assert run.process.wait(PATIENCE_S) == seen.code
        assert gone_within(10, run.process.pid) == []
        assert list(Path(base).iterdir()) == []
    (record,) = RunFolder.open(out).records()
    assert record.status == seen.status
    assert len(record.epochs) > FEW_EPOCHS


@pytest.mark.parametrize("stopped", [True, False])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_heeded_while_ray_starts(
    endless: Path, tmp_path: Path, number: signal.Signals, stopped: bool
) -> None:
    out, seen = tmp_path / "run", FAULTS["signal at the start"]
    with started("run", endless, "--out", out) as run:
        head = process_of(run, "gcs_server")
        if stopped:
            head.suspend()
        run.process.send_signal(number)
        assert run.process.wait(PATIENCE_S) == seen.code, run.stderr
        assert gone_within(10, run.process.pid) == []
        assert seen.line in run.stderr.splitlines()[-1]
    assert not out.exists()
