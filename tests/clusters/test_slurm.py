"""Run clusters/slurm.sbatch under a real Slurm with two nodes."""

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import CompletedProcess

import pytest

import bench
from tests.cluster.missing_packages import SLURM as SLURM_PROGRAMS
from tests.cluster.missing_packages import missing
from tests.clusters.conftest import Site
from tests.clusters.machines import Machine
from tests.clusters.slurm import SLURM, start_slurm
from tests.support.paths import ROOT
from tests.support.sample_suites import ENDLESS, write_suite

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def shared(site: Site) -> Path:
    """The folder that all machines see as /srv, in which jobs are submitted."""
    if reason := missing(SLURM_PROGRAMS):
        pytest.skip(reason)
    laptop, nodes = site
    start_slurm(laptop, nodes)
    return laptop.folder.parent / "shared"


def test_the_run_folder_is_in_the_folder_of_submission(site: Site, shared: Path) -> None:
    laptop, nodes = site
    done = _sbatch(laptop, "smoke", "--set", "epochs=1")
    assert done.returncode == 0, _log(shared)
    (run,) = (shared / "results/runs").iterdir()
    assert run.name == "smoke-1"
    assert set(bench.load_trials(run)["status"]) == {"completed"}
    (invocation,) = json.loads((run / "run.json").read_text())["invocations"]
    assert set(invocation["environment"]) == {"driver", *(node.folder.name for node in nodes)}


def test_the_job_leaves_no_token_and_no_ray_behind(site: Site, shared: Path) -> None:
    assert not list(shared.glob(".ray-token*"))
    for node in site[1]:
        assert "raylet" not in node.run("ps", "-A", "-o", "comm").stdout


def test_the_job_has_the_exit_code_of_the_run(site: Site, shared: Path) -> None:
    hasty = (ROOT / "bench/suites/smoke.toml").read_text().replace('"smoke"', '"hasty"')
    (shared / "hasty.toml").write_text("trial_timeout_s = 0.5\n" + hasty)
    done = _sbatch(site[0], "hasty.toml", out="there")
    assert done.returncode == 5, _log(shared)
    assert set(bench.load_trials(shared / "there")["status"]) == {"timed_out"}


def test_slurm_s_signal_before_the_time_limit_closes_the_run_cleanly(
    site: Site, shared: Path
) -> None:
    laptop, nodes = site
    write_suite(shared / "endless.toml", {**ENDLESS, "blocks": 2})
    with ThreadPoolExecutor() as beside:
        job = beside.submit(_sbatch, laptop, "endless.toml", out="cut")
        # The file beside a worker's log in which it keeps finished epochs.
        epochs = ("-path", "/tmp/ray-*/r/*.epochs", "-newer", "/srv/endless.toml", "-size", "+0")
        find = ("find", "/tmp", *epochs)
        _wait_for(lambda: any(node.run(*find).stdout for node in nodes))
        # As --signal=B:TERM@120 has it sent, which cannot be had in less than three minutes.
        (number,) = laptop.run("squeue", "--noheader", "--format=%A", env=SLURM).stdout.split()
        laptop.run("scancel", "--batch", "--signal=TERM", number, env=SLURM)
        assert job.result().returncode == 130, _log(shared)
    assert set(bench.load_trials(shared / "cut")["status"]) == {"interrupted"}
    assert bench.load_epochs(shared / "cut")["epoch_s"].gt(0).any()


def test_a_node_whose_ray_dies_ends_its_trials_and_not_the_job(site: Site, shared: Path) -> None:
    laptop, nodes = site
    with ThreadPoolExecutor() as beside:
        words = ("--set", "epochs=600", "--blocks", "2", "--retries", "2")
        job = beside.submit(_sbatch, laptop, "smoke", *words, out="lost")
        _wait_for(lambda: any((shared / "lost").glob("run.json")))
        (other,) = [n for n in nodes if "gcs_server" not in n.run("ps", "-A", "-o", "comm").stdout]
        _wait_for(lambda: other.run("pgrep", "bench-trial").returncode == 0)
        # Its own processes alone are seen from inside of a node.
        for pid in other.run("pgrep", "raylet").stdout.split():
            other.run("kill", "-9", pid)
        assert job.result().returncode == 0, _log(shared)
    attempts = bench.load_attempts(shared / "lost")
    assert "worker_lost" in set(attempts["status"])
    assert list(bench.load_trials(shared / "lost")["status"]) == ["completed"] * 4


def test_an_invalid_suite_ends_the_job_before_ray_starts(site: Site, shared: Path) -> None:
    before = set(shared.glob("ray-*.log"))
    done = _sbatch(site[0], "no-such-suite")
    assert done.returncode == 2
    assert "bench: " in _log(shared)
    assert set(shared.glob("ray-*.log")) == before


def _sbatch(laptop: Machine, *words: str, out: str = "") -> CompletedProcess[str]:
    script = f'cd /srv && exec sbatch --wait {ROOT}/clusters/slurm.sbatch "$@"'
    environment = {**SLURM, "VENV": sys.prefix, "OUT": out}
    return laptop.run("sh", "-c", script, "sh", *words, env=environment, timeout_s=300)


def _wait_for(happened: Callable[[], bool]) -> None:
    ends = time.monotonic() + 240
    while not happened():
        assert time.monotonic() < ends
        time.sleep(0.5)


def _log(shared: Path) -> str:
    return max(shared.glob("trainbench-*.log"), key=lambda file: file.stat().st_mtime).read_text()
