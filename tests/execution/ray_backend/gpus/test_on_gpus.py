"""Who gets which GPU of this machine, and when it is fit: a real Ray, the real binding to NVML.

The cards are a library's, so TensorFlow sees none: they are logical where a trial is to train.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import ROOT
from tests.support.processes import PATIENCE_S
from tests.support.sample_suites import SINGLE, TINY

pytestmark = pytest.mark.slow

Found = dict[str, Any]
Run = Callable[..., Found]

LOGICAL = {"BENCH_LOGICAL_GPUS": "1"}
NOBODY = {"CUDA_VISIBLE_DEVICES", "BENCH_LOGICAL_GPUS"}


def gpu(card: int) -> str:
    return f"GPU-{card}000aaaa-0000-0000-0000-000000000000"


def instance(card: int, slot: int) -> str:
    return f"MIG-{card}00{slot}bbbb-0000-0000-0000-000000000000"


@pytest.fixture
def run(fake_nvml: Path, tmp_path: Path) -> Run:
    """Run a suite on cards that the variables describe."""

    def ran(suite: dict[str, Any], *, comes: bool = False, **variables: str) -> Found:
        words = [str(tmp_path / "run"), json.dumps(suite), *(["comes"] if comes else [])]
        own = {"LD_LIBRARY_PATH": str(fake_nvml), "FAKE_CUDA_MEMORY": str(tmp_path / "held")}
        around = {name: value for name, value in os.environ.items() if name not in NOBODY}
        done = subprocess.run(
            [sys.executable, "-m", "tests.support.ray_on_gpus", *words],
            cwd=ROOT,
            env={**around, **own, **variables},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found: Found = json.loads(done.stdout.splitlines()[-1])
        return found

    return ran


def test_a_busy_gpu_is_excluded_and_a_block_moves_from_one_that_becomes_busy(
    run: Run,
) -> None:
    last = max(os.sched_getaffinity(0))
    found = run(
        {**TINY, "blocks": 4},
        comes=True,
        FAKE_GPUS="3",
        FAKE_NVML_COMPUTING="1234",
        FAKE_NVML_ANSWER=f"nvmlDeviceGetCpuAffinity={1 << last}",
        # Ray then leaves every GPU visible to every worker.
        RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES="1",
        **LOGICAL,
    )
    assert found["lanes"] == 2
    assert {(r["status"], r["attempt"]) for r in found["records"]} == {("completed", 1)}
    # The driver's last card is the first on the bus, and Ray's GPU 0.
    names = {gpu(2): "0", gpu(1): "1"}
    begun = [record for record in found["records"] if record["trial"]["block"] < 2]
    assert {device for record in begun for device in record["devices"]} == names.keys()
    moved = [record for record in found["records"] if record["left_out"]]
    assert len({record["trial"]["block"] for record in moved}) == 1
    for record in moved:
        assert record["devices"] == [gpu(1)]
        (left,) = record["left_out"]
        assert (left["devices"], left["node"]) == ([gpu(2)], os.uname().nodename)
    assert [left["devices"] for left in found["told"]] == [[gpu(0)], [gpu(2)]]
    assert found["told"] == found["kept"]
    assert "1234" in found["told"][0]["reason"]
    for record in found["records"]:
        name = names[record["devices"][0]]
        assert record["resolved"]["visible_gpus"] == name
        assert record["resolved"]["variables"]["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
        allotted = record["resolved"]["allotted"]
        assert (allotted["gpus"], allotted["logical_gpus"]) == ([], [name])
        assert allotted["cores"] == [last]


def test_when_the_last_gpu_becomes_busy_the_run_ends_and_says_why(run: Run) -> None:
    found = run({**TINY, "blocks": 2}, comes=True, FAKE_GPUS="1", **LOGICAL)
    statuses = [(r["trial"]["block"], r["status"]) for r in found["records"]]
    assert sorted(statuses) == [(0, "completed")] * 2 + [(1, "timed_out")] * 2
    for record in found["records"]:
        if record["status"] == "timed_out":
            assert gpu(0) in record["error"]
            assert [left["devices"] for left in record["left_out"]] == [[gpu(0)]]


def test_a_run_without_a_fit_gpu_does_not_start(run: Run, tmp_path: Path) -> None:
    found = run(SINGLE, FAKE_GPUS="1", FAKE_NVML_COMPUTING="1234", **LOGICAL)
    assert found["exit_code"] == 2
    assert gpu(0) in found["error"]
    assert not (tmp_path / "run").exists()


def test_memory_in_use_at_the_start_is_the_baseline_and_the_run_warns(run: Run) -> None:
    held = {"FAKE_NVML_FREE_AFTER": "999999", "FAKE_GPU_MEMORY_BYTES": str(24 * 2**30)}
    found = run(SINGLE, FAKE_GPUS="1", **held, **LOGICAL)
    (record,) = found["records"]
    assert (record["status"], record["devices"]) == ("completed", [gpu(0)])
    assert found["told"] == record["warnings"] == []
    # There may be another, of what else this machine does.
    assert len([warning for warning in found["warnings"] if gpu(0) in warning]) == 1


def test_workers_of_one_bundle_have_a_gpu_each_and_take_turns_with_a_trial_on_one(
    run: Run,
) -> None:
    variant = {**SINGLE["variant"], "strategy": "multi_worker", "global_batch_size": 64}
    suite = {
        **SINGLE,
        "variant": variant,
        "matrix": {"workers": [1, 2]},
        "compare": [{"axis": "workers", "baseline": 1}],
    }
    found = run(suite, FAKE_GPUS="2", **LOGICAL)
    one, two = sorted(found["records"], key=lambda record: record["trial"]["variant"]["workers"])
    assert (one["status"], two["status"]) == ("completed", "completed"), two["log_tail"]
    assert {record["resolved"]["turns"] for record in (one, two)} == {"window"}
    assert one["devices"] == [gpu(1)]
    node = os.uname().nodename
    assert two["devices"] == [f"{node}/worker:0/{gpu(1)}", f"{node}/worker:1/{gpu(0)}"]
    assert two["resolved"]["visible_gpus"] == "0"


def test_a_trial_on_a_gpu_that_tensorflow_does_not_see_fails_and_names_it(run: Run) -> None:
    found = run(SINGLE, FAKE_GPUS="4", CUDA_VISIBLE_DEVICES="2,3")
    assert found["lanes"] == 2
    (record,) = found["records"]
    assert record["status"] == "failed"
    # Ray's choice among the two that the user left visible: the third on the bus.
    assert gpu(1) in record["error"]
    assert record["resolved"]["allotted"]["gpus"] == [gpu(1)]
    assert record["resolved"]["visible_gpus"] == "2"
    assert record["epochs"] == []


def test_gpus_that_the_user_hides_are_excluded_and_the_run_reports_them(run: Run) -> None:
    found = run(SINGLE, FAKE_GPUS="2", CUDA_VISIBLE_DEVICES="-1")
    (record,) = found["records"]
    assert (record["status"], record["devices"]) == ("completed", ["CPU:0"])
    assert record["resolved"]["allotted"] == {
        "gpus": [],
        "logical_gpus": [],
        "cores": None,
        "numa_node": None,
    }
    assert [left["devices"] for left in found["told"]] == [[gpu(1), gpu(0)]]


def test_the_instances_of_a_split_card_are_counted(run: Run) -> None:
    found = run(SINGLE, FAKE_GPUS="2", FAKE_MIG="1", **LOGICAL)
    assert found["lanes"] == 3
    (record,) = found["records"]
    assert record["status"] == "completed"
    assert record["devices"] in ([instance(1, 0)], [instance(1, 1)], [gpu(0)])
    assert record["resolved"]["visible_gpus"] in (instance(1, 0), instance(1, 1), "1")


def test_several_replicas_on_mig_instances_are_refused_before_anything_starts(
    run: Run, tmp_path: Path
) -> None:
    several = {"strategy": "mirrored", "replicas": 2, "global_batch_size": 32}
    suite = {**SINGLE, "variant": {**SINGLE["variant"], **several}}
    found = run(suite, FAKE_GPUS="2", FAKE_MIG="1", **LOGICAL)
    assert found["exit_code"] == 2
    assert "MIG" in found["error"]
    assert not (tmp_path / "run").exists()
