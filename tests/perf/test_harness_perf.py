"""What the harness adds to an epoch: Ray, records and progress against the bare program.

    python -m pytest tests/perf/test_harness_perf.py -m perf

Prints figures and judges none. To reach: 1 % of an epoch at most. A pair is the same variant
and seed through ``bench.run`` and in a plain fresh process, which goes first in every second
pair; an epoch is the median of the steady ones.
"""

import json
import math
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from scipy import stats

import bench
from bench.spec.plan import Trial, make_plan
from bench.spec.suite import Suite, parse_suite

pytestmark = pytest.mark.perf

PAIRS, EPOCHS = 6, 10
BARE = """
import json
from bench.datasets.load import load_arrays
from bench.measure.host import usable_cores
from bench.spec.plan import Trial
from bench.training import runtime
from bench.training.models import build_model
from bench.training.optimizer import Update
from bench.training.pipeline import make_feed
from bench.training.program import Program
from bench.training.strategy import make_replicas

trial = Trial.model_validate_json({trial!r})
variant, seed = trial.variant, trial.seed
runtime.configure(variant, usable_cores())
arrays, replicas = load_arrays(variant), make_replicas(variant)
model = build_model(variant, arrays.shape, arrays.classes, seed)
update, feed = Update(variant, model, replicas), make_feed(variant, arrays, seed, replicas)
program = Program(variant, model, update, feed, replicas)
program.cold_start()
print(json.dumps([program.run_epoch(epoch).epoch_s for epoch in range(variant.epochs)]))
"""


@pytest.mark.parametrize("norm", ["none", "bn_post"])
def test_what_the_harness_adds_to_an_epoch(
    norm: str, tmp_path: Path, benchmark: BenchmarkFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    ratios: list[float] = []

    def one_pair() -> None:
        number = len(ratios)
        suite = _suite(norm, seed=number)
        (trial,) = make_plan(suite).trials
        out = tmp_path / str(number)
        if number % 2:
            bare, through = _bare(trial), _through(suite, out)
        else:
            through, bare = _through(suite, out), _bare(trial)
        ratios.append(through / bare)

    benchmark.pedantic(one_pair, rounds=PAIRS)  # type: ignore[no-untyped-call]
    benchmark.extra_info["ratios"] = ratios
    with capsys.disabled():
        print(f"\nnorm {norm}: an epoch through the harness takes {_summary(ratios)}")


def _suite(norm: str, seed: int) -> Suite:
    variant = {"norm": norm, "epochs": EPOCHS, "global_batch_size": 32}
    return parse_suite({"name": "harness", "seed": seed, "variant": variant})


def _through(suite: Suite, out: Path) -> float:
    result = bench.run(suite, out)
    assert result.succeeded
    return float(bench.load_trials(result.path)["epoch_s"].iloc[0])


def _bare(trial: Trial) -> float:
    # Not by the helpers of training's tests: a driver does not import TensorFlow.
    command = [sys.executable, "-c", BARE.format(trial=trial.model_dump_json())]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    epochs: list[float] = json.loads(done.stdout.splitlines()[-1])
    return statistics.median(epochs[trial.variant.warmup_epochs :])


def _summary(ratios: list[float]) -> str:
    logs = [math.log(ratio) for ratio in ratios]
    error = statistics.stdev(logs) / math.sqrt(len(logs))
    reach = float(stats.t.ppf(0.975, len(logs) - 1)) * error
    low, middle, high = (math.exp(statistics.mean(logs) + way * reach) for way in (-1, 0, 1))
    return (
        f"{middle:.4f} times a bare one (95 % interval {low:.4f} to {high:.4f}, "
        f"{len(ratios)} pairs: {', '.join(f'{ratio:.3f}' for ratio in ratios)})"
    )
