"""GPUs of a real Ray's nodes that a run does without: none of them is given to anybody."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.errors import ResourceError
from bench.execution.gpus.gpu_fitness import GpuSnapshot, NodeSnapshot
from bench.execution.ray_backend.gpus.gpu_quarantine import GpuQuarantine
from bench.spec.plan import make_plan
from tests.support.paths import ROOT
from tests.support.processes import PATIENCE_S
from tests.support.sample_suites import SINGLE, suite_of

pytestmark = pytest.mark.slow

WHOLE = GpuSnapshot("0", "GPU-1")
SLICE = GpuSnapshot("MIG-1", "MIG-1", is_instance=True)
SEVERAL = {"global_batch_size": 32, "strategy": "mirrored", "replicas": 2}


@pytest.fixture(scope="module")
def quarantined(fake_nvml: Path) -> dict[str, Any]:
    around = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.ray_on_mixed_gpus"],
        cwd=ROOT,
        env={**around, "LD_LIBRARY_PATH": str(fake_nvml)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def test_busy_and_hidden_gpus_are_not_counted(quarantined: dict[str, Any]) -> None:
    assert quarantined["sizes"] == {"busy": 3, "split": 1}
    cards = [f"GPU-{card}000aaaa-0000-0000-0000-000000000000" for card in (1, 2, 3)]
    assert sorted(quarantined["used"]) == [*cards, "MIG-0000bbbb-0000-0000-0000-000000000000"]


def test_excluded_gpus_are_named(quarantined: dict[str, Any]) -> None:
    first, second = (f"MIG-000{slot}bbbb-0000-0000-0000-000000000000" for slot in (0, 1))
    card = "GPU-0000aaaa-0000-0000-0000-000000000000"
    # Busy, on the split card the instance that Ray does not count, hidden.
    assert sorted(quarantined["left_out"]) == sorted([[card], [second], [card]])
    assert [first] not in quarantined["left_out"]


def test_ray_does_not_assign_busy_gpus(quarantined: dict[str, Any]) -> None:
    # Of the node's four, the one is held as others get the rest: nothing is left to be given.
    assert (quarantined["held"], quarantined["given"]) == (["3"], ["0", "1", "2"])


def test_gpus_that_ray_assigned_to_others_are_not_excluded(
    quarantined: dict[str, Any],
) -> None:
    assert quarantined["of others"] == 0


def test_a_gpu_that_ray_assigned_again_is_held_again_and_reported_once(
    quarantined: dict[str, Any],
) -> None:
    assert quarantined["told"] == [["1"]]
    assert quarantined["counts"] == 2
    assert (quarantined["then held"], quarantined["then given"]) == (["1", "3"], ["0", "2"])


def refusal(settings: dict[str, Any], **nodes: list[GpuSnapshot]) -> str:
    """Why trials of these settings may not run on the nodes; "" where they may."""
    seen = {node: NodeSnapshot(node, tuple(gpus)) for node, gpus in nodes.items()}
    try:
        GpuQuarantine(seen).check_instances(make_plan(suite_of(SINGLE, **settings)).trials)
    except ResourceError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    "settings", [SEVERAL, {**SEVERAL, "strategy": "multi_worker", "workers": 2, "replicas": 1}]
)
def test_several_replicas_run_only_on_whole_cards(
    settings: dict[str, Any],
) -> None:
    assert refusal(settings, whole=[WHOLE, WHOLE]) == ""
    assert "split" in refusal(settings, split=[SLICE, SLICE])
    mixed = refusal(settings, whole=[WHOLE, WHOLE], split=[SLICE])
    assert "split" in mixed
    assert "CUDA_VISIBLE_DEVICES" in mixed


def test_one_replica_runs_on_an_instance() -> None:
    assert refusal({}, whole=[WHOLE], split=[SLICE]) == ""
