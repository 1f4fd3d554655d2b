"""Measure whether examining layers between epochs affects the epochs' time.

    python -m pytest tests/perf/test_health_perf.py -m perf

It prints figures and judges none. The target is a ratio of 1. In each round both arms run in fresh
processes, in alternating order.
"""

from pathlib import Path
from typing import Any

import pytest

from bench.analysis.statistics.intervals import paired_ratio
from bench.records.run_folder import RunFolder
from tests.support.processes import bench
from tests.support.sample_suites import write_suite

pytestmark = pytest.mark.perf

ROUNDS = 6
EPOCHS = 6
SUITE: dict[str, Any] = {
    "name": "examined",
    "description": "The notebook's network with batch norm, examined after every epoch or never.",
    "variant": {"norm": "bn_post", "global_batch_size": 128, "epochs": EPOCHS},
}
EXAMINED_AFTER = {"with examinations": tuple(range(EPOCHS + 1)), "without": ()}


def test_epochs_with_examinations_between_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    times: dict[str, list[float]] = {arm: [] for arm in EXAMINED_AFTER}
    for number in range(ROUNDS):
        for arm in sorted(EXAMINED_AFTER, reverse=bool(number % 2)):
            times[arm].append(_epoch_s(tmp_path / f"{number} {arm}", EXAMINED_AFTER[arm]))
    ratio = paired_ratio(times["with examinations"], times["without"])
    with capsys.disabled():
        print(
            f"\nepochs with examinations over those without: {ratio.value:.3f} "
            f"[{ratio.low:.3f}, {ratio.high:.3f}], {ROUNDS} pairs of processes"
        )


def _epoch_s(folder: Path, after: tuple[int, ...]) -> float:
    variant = {**SUITE["variant"], "health_epochs": list(after)}
    suite = write_suite(folder.with_suffix(".toml"), {**SUITE, "variant": variant})
    result = bench("run", suite, "--out", folder)
    assert result.returncode == 0, result.stderr
    (record,) = RunFolder.open(folder).records()
    assert len(record.health) == len(after)
    assert record.epoch_s is not None
    return record.epoch_s
