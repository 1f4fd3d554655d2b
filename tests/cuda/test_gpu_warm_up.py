"""A run on GPUs whose code is compiled at first use starts with a warm-up process."""

from pathlib import Path

import pytest

from bench.records.run_folder import RunFolder
from tests.cuda.counts import read_counts
from tests.cuda.small_variant import SMALL_VARIANT
from tests.cuda.stack import Stack
from tests.support.processes import bench

pytestmark = pytest.mark.slow

SUITE = """
name = "warm"
blocks = 1
"""
SUITE += (
    SMALL_VARIANT
    + """
[matrix]
norm = ["none", "layer"]
"""
)
BUSY, FREE = (f"GPU-{i}000aaaa-0000-0000-0000-000000000000" for i in (0, 1))


def test_programs_are_warmed_up_on_a_free_gpu_before_the_first_trial_and_leave_no_record(
    cuda_stack: Stack, tmp_path: Path
) -> None:
    suite, counters = tmp_path / "suite.toml", tmp_path / "counts"
    suite.write_text(SUITE)
    counters.mkdir()
    machine = {
        "FAKE_NVML_COMPUTING": "4242",  # on the driver's first GPU
        "BENCH_CACHE_DIR": str(tmp_path / "cache"),
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    }
    env = cuda_stack.environment(2, machine, counters, tmp_path / "memory")
    result = bench("run", suite, "--out", tmp_path / "run", env=env)
    assert result.returncode == 0, result.stderr

    records = list(RunFolder.open(tmp_path / "run").records())
    assert {record.devices for record in records} == {(FREE,)}
    by_pid = {counts.pid: counts for counts in read_counts(counters)}
    (warm_up,) = by_pid.keys() - {record.resolved["pid"] for record in records}
    (device,) = by_pid[warm_up].devices
    assert device.uuid == FREE
    assert device.launches > 0
    # All processes use the same cache.
    caches = {record.resolved["variables"]["CUDA_CACHE_PATH"] for record in records}
    assert len(caches) == 1
    assert Path(*caches).is_relative_to(tmp_path / "cache")

    # A later run finds a mark in the cache and does not repeat the warm-up.
    for file in counters.iterdir():
        file.unlink()
    again = bench("run", suite, "--out", tmp_path / "again", env=env)
    assert again.returncode == 0, again.stderr
    later = {record.resolved["pid"] for record in RunFolder.open(tmp_path / "again").records()}
    assert {counts.pid for counts in read_counts(counters)} == later
