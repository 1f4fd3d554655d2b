"""Measure what the harness (Ray, records, progress) adds to an epoch of the bare program.

    python -m pytest tests/perf/test_harness_perf.py -m perf

It prints figures and judges none. The target is at most 1 % of an epoch. In the first test, a pair
is the same variant and seed through ``bench.run`` and in a plain fresh process, which runs first in
every second pair; an epoch's time is the median of the steady ones. Even equal processes differ by
more than 1 %, so the second test compares epochs of one process: with the driver and Ray running,
and with them stopped.
"""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import bench
from bench.analysis.statistics.intervals import paired_ratio
from bench.spec.plan import Trial, make_plan
from bench.spec.suite import Suite, parse_suite

pytestmark = [pytest.mark.perf, pytest.mark.timeout(1800)]

PAIRS, EPOCHS = 24, 6
NEIGHBOURS = 150
BARE = """
import json
from bench.datasets.load import load_arrays
from bench.measure.host import usable_cores
from bench.spec.plan import Trial
from bench.training import runtime
from bench.training.model.models import build_model
from bench.training.loop.gradient_update import GradientUpdate
from bench.training.data.pipeline import make_feed
from bench.training.loop.compiled_epoch import CompiledEpoch
from bench.training.device_strategy import make_replicas

trial = Trial.model_validate_json({trial!r})
variant, seed = trial.variant, trial.seed
runtime.configure(variant, usable_cores())
arrays, replicas = load_arrays(variant), make_replicas(variant)
model = build_model(variant, arrays.shape, arrays.classes, seed)
update, feed = GradientUpdate(variant, model, replicas), make_feed(variant, arrays, seed, replicas)
program = CompiledEpoch(variant, model, update, feed, replicas)
program.cold_start()
print(json.dumps([program.run_epoch(epoch).epoch_s for epoch in range(variant.epochs)]))
"""


def test_overhead_of_the_harness(
    tmp_path: Path, benchmark: BenchmarkFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    harness: list[float] = []
    bare: list[float] = []

    def one_pair() -> None:
        number = len(bare)
        suite = _suite(seed=number)
        (trial,) = make_plan(suite).trials
        out = tmp_path / str(number)
        if number % 2:
            bare.append(_bare(trial))
            harness.append(_harness(suite, out))
        else:
            harness.append(_harness(suite, out))
            bare.append(_bare(trial))

    benchmark.pedantic(one_pair, rounds=PAIRS)  # type: ignore[no-untyped-call]
    benchmark.extra_info.update(harness=harness, bare=bare)
    with capsys.disabled():
        print(f"\nan epoch through the harness takes {_summary(harness, bare, 'a bare one')}")


def test_overhead_of_the_driver_and_ray(
    tmp_path: Path, benchmark: BenchmarkFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    suite = tmp_path / "pausing.toml"
    suite.write_text(
        'name = "pausing"\n[variant]\nworkload = "pausing:net"\nglobal_batch_size = 32\n'
        f"epochs = {2 * NEIGHBOURS + 2}\n"
    )
    command = [sys.executable, "-m", "bench", "run", str(suite), "--out", str(tmp_path / "run")]
    path = os.pathsep.join((str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")))

    def run() -> None:
        # A pausing epoch treats the leader of its session as the driver.
        subprocess.run(
            command,
            check=True,
            capture_output=True,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": path},
        )

    benchmark.pedantic(run, rounds=1)  # type: ignore[no-untyped-call]
    seconds = bench.load_epochs(tmp_path / "run")["epoch_s"].tolist()[2:]  # the first two warm up
    beside, stopped = seconds[::2], seconds[1::2]
    benchmark.extra_info.update(beside=beside, stopped=stopped)
    with capsys.disabled():
        summary = _summary(beside, stopped, "one with them stopped")
        print(f"\nan epoch with driver and Ray running takes {summary}")


def _suite(seed: int) -> Suite:
    # Without batch norm: overhead shows most in short epochs.
    variant = {"epochs": EPOCHS, "global_batch_size": 32}
    return parse_suite({"name": "harness", "seed": seed, "variant": variant})


def _harness(suite: Suite, out: Path) -> float:
    result = bench.run(suite, out)
    assert result.succeeded
    return float(bench.load_trials(result.path)["epoch_s"].iloc[0])


def _bare(trial: Trial) -> float:
    # The helpers of training tests would import TensorFlow, which a driver does not.
    command = [sys.executable, "-c", BARE.format(trial=trial.model_dump_json())]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    epochs: list[float] = json.loads(result.stdout.splitlines()[-1])
    return statistics.median(epochs[trial.variant.warmup_epochs :])


def _summary(ours: list[float], theirs: list[float], which: str) -> str:
    ratio = paired_ratio(ours, theirs)
    assert ratio.low and ratio.high and ratio.detectable
    quotients = [a / b for a, b in zip(ours, theirs, strict=True)]
    return (
        f"{ratio.value:.4f} times {which} (95 % interval {ratio.low:.4f} to {ratio.high:.4f}; "
        f"{ratio.n} pairs, median {statistics.median(quotients):.4f}, which detect "
        f"{ratio.detectable - 1:.1%} in 9 of 10 cases)"
    )
