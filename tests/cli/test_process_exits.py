"""Faults of Ray's processes: the run ends in time, with records, tables and one line."""

import signal
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from bench.records.run_folder import RunFolder
from tests.support.fault_table import FAULTS
from tests.support.processes import PATIENCE_S, Running, session_of, started, survivors_after
from tests.support.sample_suites import ENDLESS, write_suite

pytestmark = pytest.mark.slow

FEW_EPOCHS = 3


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    return write_suite(tmp_path / "endless.toml", ENDLESS)


def process_of(run: Running, name: str) -> psutil.Process:
    """Wait for the process of the run's Ray that has ``name`` in its command line."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        for process in session_of(run.process.pid):
            if name in " ".join(process.cmdline()[:1]):
                return process
        time.sleep(0.02)
    raise AssertionError(f"there is no {name}: {run.stderr}")


def wait_for_epochs(run: Running) -> None:
    """Wait until a worker has finished some epochs, reported or not."""
    worker = run.wait_for_training()
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
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
def test_a_ray_process_that_dies_or_freezes_ends_the_run_with_its_records(
    endless: Path, tmp_path: Path, name: str, number: signal.Signals, fault: str
) -> None:
    out, expected = tmp_path / "run", FAULTS[fault]
    with started("run", endless, "--out", out, "--retries", "0") as run:
        wait_for_epochs(run)
        process_of(run, name).send_signal(number)
        code, message = run.process.wait(PATIENCE_S), run.stderr
        assert survivors_after(10, run.process.pid) == []
    assert code == expected.code, message
    assert message.splitlines()[-1].startswith("bench: ")
    assert expected.line in message.splitlines()[-1]
    (record,) = RunFolder.open(out).records()
    assert record.status == expected.status
    assert len(record.epochs) > FEW_EPOCHS
    assert (out / "trials.csv").read_text().count(record.status) == 1


def test_a_signal_ends_the_run_while_a_raylet_is_stopped(endless: Path, tmp_path: Path) -> None:
    out, expected = tmp_path / "run", FAULTS["raylet frozen"]
    # A short path: the names of sockets have a limit.
    with (
        tempfile.TemporaryDirectory(dir="/tmp") as base,
        started("run", endless, "--out", out, env={"RAY_TMPDIR": base}) as run,
    ):
        wait_for_epochs(run)
        process_of(run, "raylet/raylet").suspend()
        run.process.send_signal(signal.SIGTERM)
        assert run.process.wait(PATIENCE_S) == expected.code
        assert survivors_after(10, run.process.pid) == []
        assert list(Path(base).iterdir()) == []
    (record,) = RunFolder.open(out).records()
    assert record.status == expected.status
    assert len(record.epochs) > FEW_EPOCHS


@pytest.mark.parametrize("stopped", [True, False])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_run_while_ray_starts(
    endless: Path, tmp_path: Path, number: signal.Signals, stopped: bool
) -> None:
    out, expected = tmp_path / "run", FAULTS["signal at the start"]
    with started("run", endless, "--out", out) as run:
        head = process_of(run, "gcs_server")
        if stopped:
            head.suspend()
        run.process.send_signal(number)
        assert run.process.wait(PATIENCE_S) == expected.code, run.stderr
        assert survivors_after(10, run.process.pid) == []
        assert expected.line in run.stderr.splitlines()[-1]
    assert not out.exists()
