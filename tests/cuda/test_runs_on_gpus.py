"""A complete ``bench run`` through Ray assigns the GPUs of a stack that computes nothing.

Losses are garbage there, so a trial may complete or diverge. The test checks which device it had,
and the memory in use there.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from bench.records.run_folder import RunFolder
from tests.cuda.counts import Counts, read_counts
from tests.cuda.small_variant import SMALL_VARIANT
from tests.cuda.stack import Stack
from tests.support.processes import bench

pytestmark = pytest.mark.slow

SUITE = """
name = "gpus"
blocks = {blocks}
warmup_s = 0
min_timing_s = 0
"""
SUITE += (
    SMALL_VARIANT
    + """
[matrix]
norm = {norms}
"""
)

PATIENCE_S = 500.0
"""Eight processes import TensorFlow at once, perhaps on few cores."""

VARIABLES = {
    # TensorFlow has machine code for this GPU, so no node is warmed up before the run.
    "FAKE_GPU_CAPABILITY": "8.9",
    # As with a real driver, memory of ended processes is released late: the next trial waits.
    "FAKE_NVML_RELEASE_AFTER": "3",
    # Other uses of the host's memory must not affect this test.
    "RAY_memory_monitor_refresh_ms": "0",
}


@pytest.mark.parametrize(("gpus", "blocks", "norms"), [(2, 2, ["none", "layer"]), (8, 8, ["none"])])
def test_every_trial_has_its_own_gpu_with_free_memory(
    cuda_stack: Stack, tmp_path: Path, gpus: int, blocks: int, norms: list[str]
) -> None:
    suite, counters = tmp_path / "suite.toml", tmp_path / "counts"
    suite.write_text(SUITE.format(blocks=blocks, norms=json.dumps(norms)))
    counters.mkdir()
    env = cuda_stack.environment(gpus, VARIABLES, counters, tmp_path / "memory")
    result = bench("run", suite, "--out", tmp_path / "run", env=env, patience_s=PATIENCE_S)
    assert result.returncode == 0, result.stderr

    records = list(RunFolder.open(tmp_path / "run").records())
    cards = {f"GPU-{i}000aaaa-0000-0000-0000-000000000000" for i in range(gpus)}
    assert len(records) == blocks * len(norms)
    assert {record.status for record in records} <= {"completed", "diverged"}
    assert {device for record in records for device in record.devices} == cards
    counts_by_pid: dict[Any, Counts] = {counts.pid: counts for counts in read_counts(counters)}
    for record in records:
        counts = counts_by_pid[record.resolved["pid"]]
        (device,) = counts.devices
        assert record.devices == (device.uuid,)
        assert device.memory_found_bytes == 0
        assert device.launches > 0
