"""Run clusters/onprem.yaml and local.yaml with make from a laptop on machines with ssh servers."""

import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import yaml

import bench
from tests.clusters.conftest import Site
from tests.clusters.machines import KEY, Machine, give_environment
from tests.support.paths import ROOT
from tests.support.processes import PATIENCE_S
from tests.support.sample_suites import ENDLESS, write_suite

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

MakeBench = Callable[..., CompletedProcess[str]]


@pytest.fixture(scope="module")
def config(site: Site) -> Path:
    """Return the file with a user's edits, in the laptop's folder."""
    laptop, (head, worker) = site
    for machine in (head, worker):
        give_environment(machine)
    return _write_config(laptop, "onprem", _edited("onprem", head, worker))


@pytest.fixture(scope="module")
def make_bench(site: Site, config: Path) -> MakeBench:
    """Return a function that runs bench with make's variables; OUT is a folder of the laptop."""

    def call(*variables: str, cluster: Path = config) -> CompletedProcess[str]:
        words = ["make", "-o", "install", "bench", f"VENV={sys.prefix}"]
        return site[0].run(*words, f"CLUSTER={cluster}", *variables, timeout_s=400)

    return call


@pytest.fixture(scope="module")
def smoke(make_bench: MakeBench) -> CompletedProcess[str]:
    """The first run on the cluster; it also starts the cluster."""
    return make_bench("SUITE=smoke", "OUT=/mnt/results/smoke", "ARGS=--set epochs=1")


def test_the_run_folder_comes_back_from_a_cluster_that_was_started_over_ssh(
    site: Site, smoke: CompletedProcess[str]
) -> None:
    laptop, nodes = site
    assert smoke.returncode == 0, smoke.stderr
    assert "ray down -y /mnt/onprem.yaml" in smoke.stderr
    assert "Run folder: /mnt/results/smoke" in smoke.stdout
    run = laptop.folder / "results/smoke"
    assert set(bench.load_trials(run)["status"]) == {"completed"}
    invocation = json.loads((run / "run.json").read_text())["invocations"][0]
    assert set(invocation["environment"]) == {"driver", *(node.folder.name for node in nodes)}
    tokens = {m.folder: (m.folder / "home/.ray/auth_token").read_text() for m in (laptop, *nodes)}
    assert len(set(tokens.values())) == 1


@pytest.mark.usefixtures("smoke")
def test_a_run_resumes_where_it_ended(site: Site, make_bench: MakeBench) -> None:
    further = "ARGS=--set epochs=1"
    done = make_bench("SUITE=smoke", "OUT=/mnt/results/smoke", "RESUME=1", "BLOCKS=2", further)
    assert done.returncode == 0, done.stderr
    trials = bench.load_attempts(site[0].folder / "results/smoke")
    assert list(trials.sort_values("block")["block"]) == [0, 0, 1, 1]
    assert list(trials.sort_values("block")["invocation"]) == [0, 0, 1, 1]


@pytest.mark.usefixtures("smoke")
def test_ctrl_c_fetches_the_run_folder_after_the_remote_run_has_closed_it(
    site: Site, config: Path
) -> None:
    laptop, _ = site
    write_suite(laptop.folder / "endless.toml", ENDLESS)
    words = ["run", "/mnt/endless.toml", f"--cluster={config}", "--out=/mnt/results/endless"]
    with laptop.running(Path(sys.prefix) / "bin/bench", *words) as run:
        ends = time.monotonic() + PATIENCE_S
        while not re.search(r"\([1-9]\d*/20000 epochs", (laptop.folder / "output").read_text()):
            assert run.poll() is None, "it ended"
            assert time.monotonic() < ends, "it has not trained"
            time.sleep(0.5)
        # As from a terminal, to all of the foreground: Ray's launcher and its ssh among them.
        assert laptop.run("pkill", "--signal", "INT", "-f", "endless").returncode == 0
        assert run.wait(PATIENCE_S) == 130
    (trial,) = bench.load_attempts(laptop.folder / "results/endless").to_dict("records")
    assert trial["status"] == "interrupted"
    assert len(bench.load_epochs(laptop.folder / "results/endless")) > 0


@pytest.mark.usefixtures("smoke")
def test_without_the_token_access_is_refused(site: Site) -> None:
    _, (head, _) = site
    module = "bench.execution.ray_backend.cluster.head_address"
    code = f"import sys; from {module} import resolve_address as f; f(sys.argv[1])"
    words = [sys.executable, "-c", code, f"{head.address}:6379"]
    refused = head.run(*words, env={"HOME": "/mnt/tmp"})
    assert "requires a token" in refused.stderr
    assert head.run(*words).returncode == 0


@pytest.mark.usefixtures("smoke")
def test_a_cluster_that_stays_too_small_is_reported(site: Site) -> None:
    wait = [
        sys.executable,
        "-m",
        "bench.execution.launching.wait_for_nodes",
        "3",
        "--timeout-s",
        "1",
    ]
    done = site[1][0].run(*wait)
    assert done.returncode == 2
    assert "2 of 3 nodes joined the Ray cluster" in done.stderr.splitlines()[-1]


def test_results_of_failed_trials_are_fetched_through_a_gateway_too(
    site: Site, make_bench: MakeBench
) -> None:
    laptop, (head, gateway) = site
    content = _edited("local", head)
    ssh = f"ssh -i {KEY} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
    content["auth"]["ssh_proxy_command"] = f"{ssh} -W %h:%p root@{gateway.address}"
    file = _write_config(laptop, "local", content)
    suite = (ROOT / "bench/suites/smoke.toml").read_text().replace('"smoke"', '"hasty"')
    (laptop.folder / "hasty.toml").write_text("trial_timeout_s = 0.5\n" + suite)
    done = make_bench("SUITE=/mnt/hasty.toml", "OUT=/mnt/results/hasty", cluster=file)
    assert "Error 5" in done.stderr  # as make puts it
    entered = (head.folder / "sshd.log").read_text()
    assert f"Accepted publickey for root from {gateway.address}" in entered
    assert set(bench.load_trials(laptop.folder / "results/hasty")["status"]) == {"timed_out"}


def test_a_setup_that_fails_ends_with_one_line_and_code_2(
    site: Site, make_bench: MakeBench
) -> None:
    laptop, (head, worker) = site
    broken = {"cluster_name": "broken", "setup_commands": ["false"]}
    file = _write_config(laptop, "broken", _edited("onprem", head, worker) | broken)
    done = make_bench("SUITE=smoke", "OUT=/mnt/results/broken", cluster=file)
    assert "Error 2" in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("bench: ")]
    assert "the cluster did not start (ray up exited with code 1)" in line
    assert not (laptop.folder / "results/broken").exists()


@pytest.mark.usefixtures("smoke")
def test_the_launcher_s_command_takes_the_cluster_down(site: Site, config: Path) -> None:
    laptop, (head, _) = site
    laptop.run(Path(sys.prefix) / "bin/ray", "down", "-y", config)
    # The worker's Ray ends by itself once it has missed the head for a minute.
    assert "raylet" not in head.run("ps", "-A", "-o", "comm").stdout


def _edited(name: str, head: Machine, *workers: Machine) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / f"clusters/{name}.yaml").read_text())
    ips = {"head_ip": head.address, "worker_ips": [worker.address for worker in workers]}
    content["provider"] |= ips
    content["auth"] = {"ssh_user": "root", "ssh_private_key": str(KEY)}
    return content


def _write_config(laptop: Machine, name: str, content: dict[str, Any]) -> Path:
    (laptop.folder / f"{name}.yaml").write_text(yaml.safe_dump(content))
    return Path(f"/mnt/{name}.yaml")
