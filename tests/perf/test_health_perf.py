"""What looking at the layers between epochs does to the epochs' own time.

    python -m pytest tests/perf/test_health_perf.py -m perf

Prints figures and judges none. To reach: a ratio of 1. In each round both arms run one after the
other, in turns, each in a fresh process.
"""

from pathlib import Path
from typing import Any

import pytest

from bench.analysis.statistics.paired import paired_ratio
from bench.records.run_folder import RunFolder
from tests.support.processes import bench
from tests.support.sample_suites import written

pytestmark = pytest.mark.perf

ROUNDS = 6
EPOCHS = 6
SUITE: dict[str, Any] = {
    "name": "looked-at",
    "description": "The notebook's network with batch norm, looked at after every epoch or never.",
    "variant": {"norm": "bn_post", "global_batch_size": 128, "epochs": EPOCHS},
}
LOOKS = {"with looks": tuple(range(EPOCHS + 1)), "without": ()}


def test_epochs_with_looks_between_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    times: dict[str, list[float]] = {arm: [] for arm in LOOKS}
    for number in range(ROUNDS):
        for arm in sorted(LOOKS, reverse=bool(number % 2)):
            times[arm].append(_epoch_s(tmp_path / f"{number} {arm}", LOOKS[arm]))
    found = paired_ratio(times["with looks"], times["without"])
    with capsys.disabled():
        print(
            f"\nepochs with looks over those without: {found.value:.3f} "
            f"[{found.low:.3f}, {found.high:.3f}], {ROUNDS} pairs of processes"
        )


def _epoch_s(folder: Path, looks: tuple[int, ...]) -> float:
    variant = {**SUITE["variant"], "health_epochs": list(looks)}
    suite = written(folder.with_suffix(".toml"), {**SUITE, "variant": variant})
    done = bench("run", suite, "--out", folder)
    assert done.returncode == 0, done.stderr
    (record,) = RunFolder.open(folder).records()
    assert len(record.health) == len(looks)
    assert record.epoch_s is not None
    return record.epoch_s
