"""Run jobs on one device, on several replicas of one process, or on several workers.

Usage:
    results = run_jobs({"strategy": "mirrored", "replicas": 2}, [Job("plain", {})], tmp_path)
    results["plain"].weights                   # one array a variable, (replicas, *shape)

Each arrangement runs in a fresh process, or in one for each worker: TensorFlow creates one strategy
a process, before anything else. All jobs of an arrangement share that strategy.
"""

import json
import os
import socket
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

PATIENCE_S = 1500.0

LATE_S = 3.0

TRAIN: dict[str, Any] = {
    "dataset": "synthetic",
    "hidden": [16, 8],
    "examples": 1024,
    "global_batch_size": 8,
    "epochs": 1,
    "learning_rate": 0.05,
    "jit": "none",
}
"""One epoch of 128 steps, on images of 28 x 28."""


@dataclass(frozen=True)
class Job:
    """A job for the replicas; ``settings`` override ``TRAIN``."""

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    kind: str = "train"
    """train; repeat: the same after a warm-up, with the epoch timed twice; look: list the examples
    of each replica in two epochs; examine: its layers after one; refuse: a program that TensorFlow
    refuses; fault: a feed that raises; late: an epoch, the last worker joins it ``LATE_S`` late."""
    one_bright: bool = False
    """All images are black except one white one, which only the last replica sees."""


@dataclass(frozen=True)
class JobResult:
    """The result of a job on all replicas of all workers, in the order of their ranks."""

    weights: list[np.ndarray]
    """Each variable of the model on each replica, trainable or not: (replicas, *shape)."""
    trainable: int
    """The number of trainable variables, which come first in ``weights``."""
    facts: dict[str, Any]
    """Worker 0's results of the epoch, its resolved settings, its reduced bytes."""
    examples: np.ndarray
    """For look: the indices of examples, (epochs, steps, replicas, part)."""


def run_jobs(arrangement: dict[str, Any], jobs: list[Job], folder: Path) -> dict[str, JobResult]:
    """Run ``jobs`` on the replicas that ``arrangement`` (axes of a variant) describes."""
    folder.mkdir(parents=True)
    workers = arrangement.get("workers", 1)
    (folder / "jobs.json").write_text(
        json.dumps({"arrangement": arrangement, "jobs": [asdict(job) for job in jobs]})
    )
    ports = free_ports(workers)
    with ExitStack() as stack:
        processes = [stack.enter_context(_start(folder, i, ports)) for i in range(workers)]
        try:
            codes = [process.wait(PATIENCE_S) for process in processes]
        finally:
            for process in processes:
                process.kill()
    logs = "\n".join((folder / f"{i}.log").read_text()[-3000:] for i in range(workers))
    assert codes == [0] * workers, logs
    return {job.name: _gather(job.name, folder, workers) for job in jobs}


def free_ports(count: int) -> list[int]:
    """Return different ports of the loopback address on which no process listens."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def worker_environment(ports: list[int], index: int) -> dict[str, str]:
    """Return the environment of worker ``index`` of a cluster with one worker a port."""
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    task = {"type": "worker", "index": index}
    config = {"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})} if ports[1:] else {}
    return {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "1", **config}


def _start(folder: Path, index: int, ports: list[int]) -> "subprocess.Popen[bytes]":
    command = [
        sys.executable,
        "-W",
        "error",
        "-m",
        "tests.support.replica_worker",
        str(folder),
        str(index),
    ]
    with (folder / f"{index}.log").open("wb") as log:
        return subprocess.Popen(
            command, env=worker_environment(ports, index), stdout=log, stderr=subprocess.STDOUT
        )


def _gather(name: str, folder: Path, workers: int) -> JobResult:
    parts = [np.load(folder / f"{name}-{i}.npz") for i in range(workers)]
    facts = json.loads((folder / f"{name}-0.json").read_text())
    weights = [
        np.concatenate([part[f"weights_{i}"] for part in parts]) for i in range(facts["variables"])
    ]
    # Each worker knows only the examples of its own replicas.
    examples = np.concatenate([part["examples"] for part in parts], axis=2)
    return JobResult(weights, facts["trainable"], facts, examples)
