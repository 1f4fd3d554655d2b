"""Jobs trained on one device, on several replicas of one process, or by several workers.

Usage:
    found = run_jobs({"strategy": "mirrored", "replicas": 2}, [Job("plain", {})], tmp_path)
    found["plain"].weights                     # one array a variable, (replicas, *shape)

Each arrangement is a fresh process, or one for each worker: TensorFlow makes one strategy a
process, and makes it before anything else. All jobs of an arrangement share that strategy.
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
"""128 steps on images of 28 x 28, one epoch."""


@dataclass(frozen=True)
class Job:
    """One thing to do on the replicas; ``settings`` go over ``TRAIN``."""

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    does: str = "train"
    """train; repeat: the same after a warm-up, the epoch timed twice; look: what each replica is
    given in two epochs; examine: its layers after one; refuse: what TensorFlow cannot; fault: a
    feed that raises; late: an epoch that the last worker comes to ``LATE_S`` late."""
    one_bright: bool = False
    """All images black but one, which is white: the last replica alone sees it."""


@dataclass(frozen=True)
class Found:
    """What a job ended with, on all replicas of all workers, in the order of their ranks."""

    weights: list[np.ndarray]
    """Each variable of the model on each replica, trainable or not: (replicas, *shape)."""
    trainable: int
    """How many of the first of ``weights`` are trainable."""
    facts: dict[str, Any]
    """Of worker 0: the epoch's results, what was resolved, the bytes reduced."""
    taken: np.ndarray
    """For look: the examples taken, (epochs, steps, replicas, part)."""


def run_jobs(arrangement: dict[str, Any], jobs: list[Job], folder: Path) -> dict[str, Found]:
    """Do ``jobs`` on the replicas that ``arrangement`` (axes of a variant) stands for."""
    folder.mkdir(parents=True)
    workers = arrangement.get("workers", 1)
    (folder / "jobs.json").write_text(
        json.dumps({"arrangement": arrangement, "jobs": [asdict(job) for job in jobs]})
    )
    ports = free_ports(workers)
    with ExitStack() as stack:
        processes = [stack.enter_context(_started(folder, i, ports)) for i in range(workers)]
        try:
            codes = [process.wait(PATIENCE_S) for process in processes]
        finally:
            for process in processes:
                process.kill()
    said = "\n".join((folder / f"{i}.log").read_text()[-3000:] for i in range(workers))
    assert codes == [0] * workers, said
    return {job.name: _gathered(job.name, folder, workers) for job in jobs}


def free_ports(count: int) -> list[int]:
    """Ports of the loopback address on which nobody listens now, all different."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def worker_environment(ports: list[int], index: int) -> dict[str, str]:
    """The environment of worker ``index`` among as many as there are ``ports``."""
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    task = {"type": "worker", "index": index}
    several = {"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})} if ports[1:] else {}
    return {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "1", **several}


def _started(folder: Path, index: int, ports: list[int]) -> "subprocess.Popen[bytes]":
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


def _gathered(name: str, folder: Path, workers: int) -> Found:
    parts = [np.load(folder / f"{name}-{i}.npz") for i in range(workers)]
    facts = json.loads((folder / f"{name}-0.json").read_text())
    weights = [
        np.concatenate([part[f"weights_{i}"] for part in parts]) for i in range(facts["variables"])
    ]
    # Where replicas of all workers are looked at, each worker knows its own.
    taken = np.concatenate([part["taken"] for part in parts], axis=2)
    return Found(weights, facts["trainable"], facts, taken)
