"""Measure the time and the peak memory of a report on a large run.

    python -m pytest tests/perf/test_report_perf.py -m perf

It prints figures and judges none. The run has 100,000 trials of 10 epochs: 1,000 variants in 100
blocks, or 10,000 in 10. One half of them is compared with the other.
"""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.records.run_folder import RunFolder
from bench.records.run_info import Invocation, RunInfo
from bench.spec.expand import expand
from bench.spec.plan import Trial, make_plan
from bench.spec.suite import parse_suite
from tests.support.sample_records import make_record

pytestmark = pytest.mark.perf

TRIALS, EPOCHS = 100_000, 10
REPORT = """
import resource, sys
sys.argv = ["bench", "report", sys.argv[1]]
from bench.cli import main
try:
    main()
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, file=sys.stderr)
"""


@pytest.fixture(scope="module", params=[1_000, 10_000])
def large_run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a run folder of 100,000 trials, without a disk sync for each."""
    variants: int = request.param
    suite = parse_suite(large_suite(variants))
    plan = make_plan(suite)
    info = RunInfo(
        suite=suite.model_dump(mode="json"),
        pairs=plan.pairs,
        trial_ids=tuple(trial.trial_id for trial in plan.trials),
        labels={cell.variant.id: cell.label for cell in expand(suite)},
        invocations=(Invocation(started_at="2026-01-01T00:00:00Z", executor="made", wall_s=1e7),),
    )
    folder = RunFolder.create(tmp_path_factory.mktemp("perf") / str(variants), info)
    noise = np.random.default_rng(1).normal(1.0, 0.01, size=(TRIALS, EPOCHS))

    def epoch_s(trial: Trial, epoch: int) -> float:
        return float(noise[trial.order, epoch])

    for trial in plan.trials:
        path = folder.trials / f"{trial.trial_id}.json"
        path.write_text(make_record(trial, epoch_s).model_dump_json())
    return folder.path


def large_suite(variants: int) -> dict[str, Any]:
    """Return a suite of ``variants`` variants, with enough blocks for 100,000 trials."""
    return {
        "name": "large",
        "blocks": TRIALS // variants,
        "variant": {"epochs": EPOCHS},
        "matrix": {
            "norm": ["none", "bn_post"],
            "learning_rate": [0.001 * (i + 1) for i in range(variants // 2)],
        },
        "compare": [{"axis": "norm", "baseline": "none"}],
    }


def test_report_on_a_million_epochs(
    large_run: Path, benchmark: BenchmarkFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    def report() -> int:
        command = [sys.executable, "-c", REPORT, str(large_run)]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        return int(result.stderr.split()[-1])

    started = time.perf_counter()
    peaks = [report()]  # reads the records and caches them for later ones
    first_s = time.perf_counter() - started
    benchmark.pedantic(  # type: ignore[no-untyped-call]
        lambda: peaks.append(report()), rounds=3
    )
    benchmark.extra_info["peak_rss_bytes"] = max(peaks)
    assert benchmark.stats is not None
    seconds = benchmark.stats.stats.median
    with capsys.disabled():
        print(
            f"\nreport on {TRIALS} trials of {EPOCHS} epochs, {large_run.name} variants: "
            f"the first {first_s:.1f} s, then median {seconds:.1f} s, "
            f"at most {max(peaks) / 1e9:.2f} GB"
        )
