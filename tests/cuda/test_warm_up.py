"""A run on GPUs whose code is compiled at first use begins with a process of its own."""

from pathlib import Path

import pytest

from bench.records.run_folder import RunFolder
from tests.cuda.counts import read_counts
from tests.cuda.stack import Stack
from tests.support.processes import bench

pytestmark = pytest.mark.slow

SUITE = """
name = "warm"
blocks = 1

[variant]
dataset = "synthetic"
shape = [8, 8, 1]
classes = 4
examples = 512
hidden = [8]
epochs = 1
jit = "none"

[matrix]
norm = ["none", "layer"]
"""
BUSY, FREE = (f"GPU-{i}000aaaa-0000-0000-0000-000000000000" for i in (0, 1))


def test_programs_are_warmed_up_on_a_free_gpu_before_the_first_trial_and_leave_no_record(
    cuda_stack: Stack, tmp_path: Path
) -> None:
    suite, counters = tmp_path / "suite.toml", tmp_path / "counts"
    suite.write_text(SUITE)
    counters.mkdir()
    machine = {
        "FAKE_NVML_COMPUTING": "4242",  # on the driver's first card
        "BENCH_CACHE_DIR": str(tmp_path / "cache"),
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    }
    env = cuda_stack.environment(2, machine, counters, tmp_path / "memory")
    done = bench("run", suite, "--out", tmp_path / "run", env=env)
    assert done.returncode == 0, done.stderr

    records = list(RunFolder.open(tmp_path / "run").records())
    assert {record.devices for record in records} == {(FREE,)}
    trained = {counts.pid: counts for counts in read_counts(counters)}
    (warm_up,) = trained.keys() - {record.resolved["pid"] for record in records}
    (device,) = trained[warm_up].devices
    assert device.uuid == FREE
    assert device.launches > 0
    # The same cache for all of them.
    caches = {record.resolved["variables"]["CUDA_CACHE_PATH"] for record in records}
    assert len(caches) == 1
    assert Path(*caches).is_relative_to(tmp_path / "cache")

    # What a later run finds marked there is not repeated.
    for file in counters.iterdir():
        file.unlink()
    again = bench("run", suite, "--out", tmp_path / "again", env=env)
    assert again.returncode == 0, again.stderr
    later = {record.resolved["pid"] for record in RunFolder.open(tmp_path / "again").records()}
    assert {counts.pid for counts in read_counts(counters)} == later
