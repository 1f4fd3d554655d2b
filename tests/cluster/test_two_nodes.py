"""Run on a cluster of two nodes: connected, disconnected, and with one lost."""

import importlib.metadata
import json
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

import bench
from tests.cluster.nodes import (
    NETWORK,
    Node,
    certificates,
    health_checks,
    lost_within_s,
    start_ray,
    wait_until,
)
from tests.support.sample_suites import SINGLE, write_suite

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

NOTICED_WITHIN_S = lost_within_s(health_checks("onprem.yaml")) + 40
"""Time to lose a node: Ray's health checks, TensorFlow's wait, the grace period, node queries."""

SPREAD: dict[str, Any] = {
    "label": "spread",
    "strategy": "multi_worker",
    "workers": 2,
    "placement": "spread",
    "epochs": 1000,
}
SUITE: dict[str, Any] = {
    **SINGLE,
    "name": "two-nodes",
    "variant": {**SINGLE["variant"], "global_batch_size": 64},
    "variants": [SPREAD, {"label": "alone"}, {"label": "other", "norm": "layer"}],
}


class Run:
    """Run ``bench run`` on the head's node."""

    def __init__(
        self,
        head: Node,
        suite: dict[str, Any],
        name: str = "run",
        env: Mapping[str, str] | None = None,
        network: str | None = NETWORK,
    ) -> None:
        self._head, self._env, self.out = head, env, head.folder.parent / name
        self._network = ["--network", network] if network else []
        self._suite = write_suite(head.folder.parent / f"{name}.toml", suite)
        self.log = head.folder.parent / f"{name}.log"

    def start(self, *options: str) -> "subprocess.Popen[bytes]":
        words: list[str | Path] = [
            "run",
            self._suite,
            "--out",
            self.out,
            "--address",
            self._head.ray,
            *self._network,
            *options,
        ]
        self.log.write_text("")
        return self._head.start("bench", *words, log=self.log, env=self._env)

    def lines(self) -> list[str]:
        """The output of the run."""
        return self.log.read_text().splitlines()

    def statuses(self) -> dict[str, list[str]]:
        """Return the statuses of each label, attempt by attempt."""
        by_label: dict[str, list[str]] = {}
        for _, row in bench.load_attempts(self.out).sort_values("attempt").iterrows():
            by_label.setdefault(row["label"], []).append(row["status"])
        return by_label


def ended(process: "subprocess.Popen[bytes]") -> int:
    return process.wait(400)


def test_workers_on_two_nodes_train_together_with_the_driver_s_package(
    nodes: tuple[Node, Node],
) -> None:
    head, other = nodes
    start_ray(head)
    start_ray(other)
    run = Run(head, SUITE)
    process = run.start()
    wait_until(lambda: head.serves() and other.serves(), process, run.log)
    (holder,) = other.processes("ray::Holder")
    assert any("py_modules" in part for part in holder.environ()["PYTHONPATH"].split(":"))
    assert ended(process) == 0, run.log.read_text()
    assert run.statuses() == {
        "spread": ["completed"],
        "alone": ["completed"],
        "other": ["completed"],
    }
    environments = json.loads((run.out / "run.json").read_text())["invocations"][0]["environment"]
    assert len(environments) == 3  # the driver, two nodes


WITHOUT_BENCH = """
import importlib.util, sys
sys.meta_path = [f for f in sys.meta_path if "__editable__" not in getattr(f, "__module__", "")]
assert importlib.util.find_spec("bench") is None, "still there"
"""
"""When run at Python's start, this hides an editable install of the checkout."""


def test_a_node_needs_neither_the_package_nor_a_good_copy_of_the_data(
    nodes: tuple[Node, Node], fashion_mnist_dir: Path
) -> None:
    head, other = nodes
    start_ray(head, {"BENCH_DATA_DIR": str(fashion_mnist_dir)})
    startup, damaged = other.folder / "startup", other.folder / "damaged"
    shutil.copytree(fashion_mnist_dir, damaged)
    for file in damaged.iterdir():
        file.write_bytes(file.read_bytes()[:100])
    startup.mkdir()
    (startup / "sitecustomize.py").write_text(WITHOUT_BENCH)
    bare = {"PYTHONPATH": str(startup), "BENCH_DATA_DIR": str(damaged)}
    start_ray(other, {**bare, "BENCH_CACHE_DIR": str(other.folder), "KERAS_HOME": str(startup)})
    real = {"dataset": "fashion_mnist", "examples": 640, "epochs": 2}
    run = Run(head, {**SUITE, "variants": [{**SPREAD, **real}]})
    assert ended(run.start()) == 0, run.log.read_text()
    assert run.statuses() == {"spread": ["completed"]}


def test_a_node_with_another_keras_is_refused_and_both_versions_are_named(
    nodes: tuple[Node, Node],
) -> None:
    head, other = nodes
    start_ray(head)
    installed = other.folder / "packages" / "keras-3.0.1.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: keras\nVersion: 3.0.1\n")
    start_ray(other, {"PYTHONPATH": str(installed.parent)})
    run = Run(head, SUITE)
    assert ended(run.start()) == 2
    (output,) = run.log.read_text().splitlines()
    assert f"Keras is {importlib.metadata.version('keras')} here and 3.0.1 on node" in output
    assert not run.out.exists()


@pytest.mark.parametrize("network", [None, "10.78.0.0/24", "10.0.0.0/8"])
def test_workers_on_two_nodes_need_a_network_with_one_address_each(
    nodes: tuple[Node, Node], network: str | None
) -> None:
    head, other = nodes
    other.add_address("10.99.0.2")
    start_ray(head)
    start_ray(other)
    run = Run(head, SUITE, network=network)
    assert ended(run.start()) == 2
    output = run.log.read_text().splitlines()[-1]
    assert "--network" in output
    assert not run.out.exists()
    alone = Run(head, {**SUITE, "variants": [{"label": "alone"}]}, "alone", network=network)
    assert ended(alone.start()) == 0, alone.log.read_text()


def test_a_worker_accepts_connections_from_its_nodes_only(
    nodes: tuple[Node, Node],
) -> None:
    head, other = nodes
    neighbour = "10.77.0.9"
    other.add_address(neighbour)
    start_ray(head)
    start_ray(other)
    # Each node has one address in this network.
    run = Run(head, {**SUITE, "variants": [SPREAD]}, network="10.77.0.0/30")
    process = run.start()
    wait_until(lambda: head.serves() and other.serves(), process, run.log)
    time.sleep(2)  # the filter is there first; the nodes' part of it is to have worked
    (port,) = head.served()
    assert other.reaches(port, head.address, other.address)
    assert not other.reaches(port, head.address, neighbour)
    assert not head.reaches(port, "127.0.0.1", "127.0.0.1")
    assert any(head.address in line and other.address in line for line in run.lines())
    process.terminate()
    assert ended(process) == 130


def cut(node: Node) -> None:
    node.plug("down")


def kill(node: Node) -> None:
    node.kill()


@pytest.mark.parametrize("lose", [cut, kill])
def test_a_lost_node_ends_only_its_trial_and_a_resumed_run_repeats_it(
    nodes: tuple[Node, Node], lose: Callable[[Node], None]
) -> None:
    head, other = nodes
    start_ray(head)
    start_ray(other)
    run = Run(head, SUITE)
    process = run.start()
    wait_until(lambda: head.serves() and other.serves(), process, run.log)
    time.sleep(5)  # so that some epochs are done
    lose(other)
    lost_at = time.monotonic()
    wait_until(lambda: any((run.out / "trials").glob("*.json")), process, run.log)
    noticed_s = time.monotonic() - lost_at
    assert noticed_s < NOTICED_WITHIN_S
    assert ended(process) == 5, run.log.read_text()
    assert run.statuses() == {
        "spread": ["worker_lost", "worker_lost"],
        "alone": ["completed"],
        "other": ["completed"],
    }
    attempts = bench.load_attempts(run.out).sort_values("attempt")
    first, second = attempts.loc[attempts["label"] == "spread", "error"]
    # The driver's node has the first worker; the log that cannot be had is that of the other.
    assert first.startswith("worker 1: ")
    (tail, _) = attempts.loc[attempts["label"] == "spread", "log_tail"]
    assert "[worker 0]" in tail
    assert "[worker 1]" not in tail
    assert "nodes were lost and too few remain" in second

    other.kill()
    other.plug("up")
    start_ray(other)
    assert ended(run.start("--resume")) == 0, run.log.read_text()
    assert run.statuses()["spread"] == ["worker_lost", "worker_lost", "completed"]


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_run_whose_head_is_lost_reports_it_and_resumes_on_a_new_head(
    nodes: tuple[Node, Node], encrypted: bool
) -> None:
    head, _ = nodes
    env = certificates(head.folder, head.address) if encrypted else {}
    ray = start_ray(head, env)
    suite = {**SUITE, "variants": [{"label": "alone"}, {"label": "long", "epochs": 3000}]}
    run = Run(head, suite, env=env)
    process = run.start()
    wait_until(lambda: "[1/2]" in run.log.read_text(), process, run.log)
    wait_until(lambda: bool(head.processes("bench-trial")), process, run.log)
    for server in head.processes("gcs_server"):
        server.kill()
    assert ended(process) == 5
    output = run.log.read_text().splitlines()
    assert "was lost: restart it, then continue with --resume" in output[-1]
    assert not any("Traceback" in line for line in output)
    statuses_by_label = run.statuses()
    assert sorted(status for statuses in statuses_by_label.values() for status in statuses) == [
        "completed",
        "worker_lost",
    ]

    ray.wait(60)
    head.kill()
    start_ray(head, env)
    assert ended(run.start("--resume")) == 0, run.log.read_text()
    assert {statuses[-1] for statuses in run.statuses().values()} == {"completed"}


def test_two_drivers_on_one_cluster_wait_for_each_other_s_devices(
    nodes: tuple[Node, Node],
) -> None:
    head, _ = nodes
    start_ray(head)
    runs = [Run(head, {**SUITE, "variants": []}, name) for name in ("one", "two")]
    drivers = [run.start() for run in runs]
    at_once = 0
    while any(driver.poll() is None for driver in drivers):
        at_once = max(at_once, len(head.processes("bench-trial")))
        time.sleep(0.2)
    assert [ended(driver) for driver in drivers] == [0, 0], [r.log.read_text() for r in runs]
    assert at_once == 1
    assert [run.statuses() for run in runs] == [{"two-nodes": ["completed"]}] * 2
    assert not [p for p in head.processes("bench-trial") if p.status() != psutil.STATUS_ZOMBIE]
