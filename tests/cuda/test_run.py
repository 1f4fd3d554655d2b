"""A whole ``bench run`` through Ray on the GPUs of a stack that computes nothing.

Losses are garbage there, so a trial may have completed or diverged: what is asserted is which
device it had, and what it found there.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from bench.records.store import RunFolder
from tests.cuda.counts import Counts, read_counts
from tests.cuda.stack import Stack
from tests.processes import bench

SUITE = """
name = "gpus"
blocks = {blocks}

[variant]
dataset = "synthetic"
shape = [8, 8, 1]
classes = 4
examples = 512
hidden = [8]
epochs = 1
jit = "none"

[matrix]
norm = {norms}
"""


@pytest.mark.parametrize(("gpus", "blocks", "norms"), [(2, 2, ["none", "layer"]), (8, 8, ["none"])])
def test_every_trial_has_a_gpu_of_its_own_and_finds_its_memory_free(
    cuda_stack: Stack, tmp_path: Path, gpus: int, blocks: int, norms: list[str]
) -> None:
    suite, counters = tmp_path / "suite.toml", tmp_path / "counts"
    suite.write_text(SUITE.format(blocks=blocks, norms=json.dumps(norms)))
    counters.mkdir()
    # Memory of the dead comes back late, as from a real driver: the next trial has to wait.
    env = cuda_stack.environment(
        gpus, {"FAKE_NVML_RELEASE_AFTER": "3"}, counters, tmp_path / "memory"
    )
    done = bench("run", suite, "--out", tmp_path / "run", env=env)
    assert done.returncode == 0, done.stderr

    records = list(RunFolder.open(tmp_path / "run").records())
    cards = {f"GPU-{i}000aaaa-0000-0000-0000-000000000000" for i in range(gpus)}
    assert len(records) == blocks * len(norms)
    assert {record.status for record in records} <= {"completed", "diverged"}
    assert {device for record in records for device in record.devices} == cards
    of_process: dict[Any, Counts] = {counts.pid: counts for counts in read_counts(counters)}
    for record in records:
        counts = of_process[record.resolved["pid"]]
        (device,) = counts.devices
        assert record.devices == (device.uuid,)
        assert device.memory_found_bytes == 0
        assert device.launches > 0
