"""Real runs, interrupted and resumed: no record is lost and no trial runs twice."""

import os
import shutil
import signal
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

import bench as api
from bench.records.run_folder import RunFolder
from bench.records.trial_record import TrialRecord
from tests.support.fault_table import FAULTS
from tests.support.processes import PATIENCE_S, bench, started, survivors_after
from tests.support.sample_suites import ENDLESS, SHORT_AND_LONG, SINGLE, write_suite

pytestmark = pytest.mark.slow


@pytest.fixture
def short_and_long(tmp_path: Path) -> Path:
    return write_suite(tmp_path / "held.toml", SHORT_AND_LONG)


@pytest.fixture
def single(tmp_path: Path) -> Path:
    return write_suite(tmp_path / "single.toml", SINGLE)


def attempts(run: Path) -> Sequence[TrialRecord]:
    """Return all attempts in the order in which they ran."""
    records = list(RunFolder.open(run).records(all_attempts=True))
    return sorted(records, key=lambda r: (r.invocation, r.started_at is None, r.attempt))


def test_ctrl_c_keeps_finished_trials_and_the_run_can_be_resumed(
    short_and_long: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    with started("run", short_and_long, "--out", out) as run:
        run.wait_for("[1/2]")
        first = run.wait_for_training()
        assert run.interrupt() == FAULTS["Ctrl-C"].code
        assert survivors_after(20, run.process.pid) == []
        assert not first.is_running()
        last = run.stderr.splitlines()[-1]
    assert last == (
        "bench: interrupted: finished trials are kept; "
        f"resume with bench run {short_and_long} --out {out} --resume"
    )
    assert [r.status for r in attempts(out)] == ["completed", FAULTS["Ctrl-C"].status]
    assert (out / "trials.csv").read_text().count("completed") == 1

    result = bench("run", short_and_long, "--out", out, "--resume")
    assert result.returncode == 0, result.stderr
    assert [(r.status, r.invocation) for r in attempts(out)] == [
        ("completed", 0),
        ("interrupted", 0),
        ("completed", 1),
    ]
    assert list(api.load_trials(out).status) == ["completed", "completed"]


def test_a_second_driver_is_refused_and_sigterm_ends_the_first_as_ctrl_c_does(
    tmp_path: Path,
) -> None:
    endless, out = write_suite(tmp_path / "endless.toml", ENDLESS), tmp_path / "run"
    with started("run", endless, "--out", out) as run:
        run.wait_for_training()
        second = bench("run", endless, "--out", out, "--resume")
        assert second.returncode == 2
        assert "another bench run is working on it" in second.stderr
        run.process.send_signal(signal.SIGTERM)
        assert run.process.wait(PATIENCE_S) == 130
        assert survivors_after(20, run.process.pid) == []
    assert [r.status for r in attempts(out)] == ["interrupted"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_all_of_a_job_ends_it_as_ctrl_c_does(
    short_and_long: Path, tmp_path: Path, number: signal.Signals
) -> None:
    out, expected = tmp_path / "run", FAULTS["signal to all"]
    with started("run", short_and_long, "--out", out) as run:
        run.wait_for("[1/2]")
        run.wait_for_training()
        os.killpg(run.process.pid, number)
        code, message = run.process.wait(PATIENCE_S), run.stderr
        assert survivors_after(20, run.process.pid) == []
    assert code == expected.code, message
    assert message.splitlines()[-1].endswith(f"--out {out} --resume")
    assert [r.status for r in attempts(out)] == ["completed", expected.status]
    assert (out / "trials.csv").read_text().count("completed") == 1


def test_a_killed_driver_ends_its_workers_and_the_run_can_be_resumed(
    short_and_long: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    # A short path: the names of sockets have a limit.
    with (
        tempfile.TemporaryDirectory(dir="/tmp") as base,
        started("run", short_and_long, "--out", out, env={"RAY_TMPDIR": base}) as run,
    ):
        run.wait_for("[1/2]")
        run.wait_for_training()
        assert len(list(Path(base).iterdir())) == 1
        run.process.kill()
        run.process.wait()
        assert survivors_after(10, run.process.pid) == []
        assert list(Path(base).iterdir()) == []
    assert [r.status for r in attempts(out)] == ["completed"]

    result = bench("run", short_and_long, "--out", out, "--resume")
    assert result.returncode == 0, result.stderr
    assert [(r.status, r.invocation) for r in attempts(out)] == [("completed", 0), ("completed", 1)]
    calls = RunFolder.open(out).info().invocations
    assert calls[0].wall_s is None
    assert calls[1].wall_s is not None


def test_a_killed_training_process_without_retries_fails_the_run_until_it_is_resumed(
    single: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    with started("run", single, "--out", out, "--retries", "0") as run:
        run.wait_for_training().kill()
        assert run.process.wait(PATIENCE_S) == FAULTS["worker killed"].code
        assert "worker_lost: its process" in run.stderr
        assert run.stderr.splitlines()[-1].endswith("--resume")
    assert [r.status for r in attempts(out)] == ["worker_lost"]

    result = bench("run", single, "--out", out, "--retries", "0", "--resume")
    assert result.returncode == 0, result.stderr
    assert [r.status for r in attempts(out)] == ["worker_lost", "completed"]


def test_damaged_data_stops_a_resumed_run_and_costs_no_record(
    fashion_mnist_dir: Path, tmp_path: Path
) -> None:
    out, data, site = (tmp_path / name for name in ("run", "data", "site"))
    site.mkdir()
    # An installed copy of Debian would replace the damaged one.
    (site / "sitecustomize.py").write_text(
        "from pathlib import Path\nfrom bench.datasets import data_folders\n"
        "data_folders.DEBIAN_FOLDER = Path('/nonexistent')\n"
    )
    real = {"dataset": "fashion_mnist", "examples": 640, "epochs": 1}
    suite = write_suite(
        tmp_path / "real.toml", {**SINGLE, "variant": {**SINGLE["variant"], **real}}
    )
    env = {
        "BENCH_DATA_DIR": str(data),
        "BENCH_CACHE_DIR": str(tmp_path / "cache"),
        "KERAS_HOME": str(tmp_path / "keras"),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")])),
        **dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9"),  # no proxy is there
    }
    resumed = ("run", suite, "--out", out, "--resume", "--blocks", "2")
    data.mkdir()
    assert bench("run", suite, "--out", out, env=env).returncode == 5
    assert not out.exists()  # so that the same command works once there is data
    shutil.copytree(fashion_mnist_dir, data, dirs_exist_ok=True)
    result = bench("run", suite, "--out", out, env=env)
    assert result.returncode == 0, result.stderr

    images = data / "train-images-idx3-ubyte.gz"
    content = images.read_bytes()
    images.write_bytes(content[: len(content) // 2])
    result = bench(*resumed, env=env)
    assert (result.returncode, result.stdout) == (5, "")
    message = result.stderr.splitlines()[-1]
    assert message.startswith("bench: Fashion-MNIST not found; tried BENCH_DATA_DIR")
    assert f"{data} ({images.name} is truncated: its gzip stream ends early)" in message
    assert message.endswith("and name it in BENCH_DATA_DIR")
    assert [r.status for r in attempts(out)] == ["completed"]
    assert list(api.load_trials(out).status) == ["completed"]

    images.write_bytes(content)
    result = bench(*resumed, env=env)
    assert result.returncode == 0, result.stderr
    assert [(r.status, r.invocation) for r in attempts(out)] == [("completed", 0), ("completed", 2)]


def test_a_missing_gpu_is_refused_in_one_line(single: Path, tmp_path: Path) -> None:
    if list(Path("/dev").glob("nvidia[0-9]")):
        pytest.skip("there is a GPU here")
    result = bench("run", single, "--out", tmp_path / "run", "--device", "gpu")
    assert result.returncode == 2
    assert result.stderr == "bench: --device gpu, but Ray sees no GPU: use --device cpu or auto\n"
    assert result.stdout == ""
    assert not (tmp_path / "run").exists()
