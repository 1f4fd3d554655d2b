"""Time a step of two workers on this machine: ours, without communication, and bare.

    python -m pytest tests/perf/test_scaling_perf.py -m perf

It prints figures and judges none. The targets are at most 10 % more than the same loop in plain
TensorFlow, and two seconds from the start of the workers to their first step, without TensorFlow's
import. In each round all arms run one after another, each in fresh processes.
"""

import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.records.run_folder import RunFolder
from bench.records.trial_record import TrialRecord
from tests.support.processes import bench
from tests.support.replica_jobs import free_ports, worker_environment
from tests.support.sample_suites import write_suite

pytestmark = pytest.mark.perf

ROUNDS = 3
PER_REPLICA = 512
WORKERS: dict[str, Any] = {"strategy": "multi_worker", "workers": 2}
SETTINGS: dict[str, Any] = {
    "dataset": "synthetic",
    "hidden": [300, 100],
    "examples": 55_296,
    "epochs": 6,
    "jit": "none",
    "per_replica_batch_size": PER_REPLICA,
}
SUITE: dict[str, Any] = {
    "name": "two-workers",
    "description": "A step of two workers, with and without communication, and of one device.",
    "variant": SETTINGS,
    "variants": [
        {"label": "one device"},
        {"label": "two workers", **WORKERS},
        {"label": "without communication", **WORKERS, "communication": "none"},
    ],
}


def test_a_step_of_two_workers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    suite = write_suite(tmp_path / "two-workers.toml", SUITE)
    rounds, starts = [], []
    for number in range(ROUNDS):
        ours = _ours(suite, tmp_path / f"run-{number}")
        threads = ours["two workers"].resolved["intra_op_threads"]
        step_s = {label: _step_s(record) for label, record in ours.items()}
        steps = ours["two workers"].epochs[0].steps
        step_s["bare"] = statistics.median(_bare_epochs_s(threads)) / steps
        rounds.append(step_s)
        starts.append(_start_s(ours["two workers"]))
    reduced = ours["two workers"].measures.reduced_bytes_per_step
    with capsys.disabled():
        print(f"\n{PER_REPLICA} examples a device and step, {reduced} bytes reduced")
        for label in rounds[0]:
            print(f"  {label}: {1e3 * statistics.median(r[label] for r in rounds):.2f} ms")
        _print_ratio("two workers over one device", rounds, "two workers", "one device")
        _print_ratio("two workers over bare", rounds, "two workers", "bare")
        shares = [1 - r["without communication"] / r["two workers"] for r in rounds]
        print(f"  share of communication: {', '.join(f'{s:.3f}' for s in shares)}")
        print("  from placement to the first step, without TensorFlow's import: ", end="")
        print(", ".join(f"{total:.1f} s ({cold:.1f} s of it compiling)" for total, cold in starts))


def _print_ratio(title: str, rounds: list[dict[str, float]], ours: str, theirs: str) -> None:
    ratios = sorted(r[ours] / r[theirs] for r in rounds)
    print(f"  {title}: {statistics.median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})")


def _ours(suite: Path, folder: Path) -> dict[str, TrialRecord]:
    result = bench("run", suite, "--out", folder)
    assert result.returncode == 0, result.stderr
    return {record.trial.label: record for record in RunFolder.open(folder).records()}


def _step_s(record: TrialRecord) -> float:
    assert record.epoch_s is not None, record.error
    return record.epoch_s / record.epochs[0].steps


def _start_s(record: TrialRecord) -> tuple[float, float]:
    """Return the seconds of workers before their first step (without import), and cold start."""
    measures = record.measures
    assert record.wall_s and measures.evaluate_s and measures.cold_start_s
    training_s = sum(epoch.epoch_s for epoch in record.epochs) + measures.evaluate_s
    return record.wall_s - (measures.import_s or 0.0) - training_s, measures.cold_start_s


def _bare_epochs_s(threads: int) -> list[float]:
    """Return the seconds of each epoch on the slower worker."""
    request = json.dumps({"settings": {**SETTINGS, **WORKERS}, "threads": threads})
    ports = free_ports(2)
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.perf.bare_workers", request],
            env=worker_environment(ports, index),
            stdout=subprocess.PIPE,
            text=True,
        )
        for index in range(2)
    ]
    try:
        outputs = [process.communicate(timeout=300)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    by_worker: list[list[float]] = [json.loads(text.splitlines()[-1]) for text in outputs]
    return [max(times) for times in zip(*by_worker, strict=True)]
