"""Which times are of GPUs, of batch norm in many kernels, of precisions slow on their device."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.analysis.questions.device_remarks import (
    SlowJit,
    SlowPrecision,
    has_unfused_batch_norm,
    on_gpus,
)
from bench.analysis.summary import summarize
from bench.records.trial_record import TrialRecord
from bench.spec.default_jit import Jit, xla_slowdown
from tests.support.sample_records import ENVIRONMENT, NORMS, made_run

CARD = "GPU-0c3e1f66-5d27-4b5b-8a83-1c7a0f2f5a11"
SLICE = "MIG-7f0b6b3d-3a1e-5d50-9d4f-1b1f2c3d4e5f"
PRECISIONS: dict[str, Any] = {
    "name": "precisions",
    "description": "What precision costs",
    "matrix": {"precision": ["float32", "mixed_bfloat16", "mixed_float16"]},
    "compare": [{"axis": "precision", "baseline": "float32"}],
}


@pytest.mark.parametrize(
    ("devices", "gpus"),
    [
        ([], False),
        (["CPU:0"], False),
        (["/job:worker/replica:0/task:1/device:CPU:0"], False),
        (["GPU:0", "GPU:1"], True),
        ([CARD], True),
        ([SLICE], True),
    ],
)
def test_devices_are_gpus_by_uuid_or_by_tensorflows_name(devices: list[str], gpus: bool) -> None:
    assert on_gpus({"devices": devices}) is gpus
    assert has_unfused_batch_norm({"devices": devices, "batch_norm": "keras"}) is gpus
    assert not has_unfused_batch_norm({"devices": devices, "batch_norm": "fused"})
    assert not has_unfused_batch_norm({"devices": devices})


def on(devices: list[str], **resolved: Any) -> Callable[[TrialRecord], TrialRecord]:
    """A change that has every trial run on ``devices``."""

    def change(record: TrialRecord) -> TrialRecord:
        own = {"devices": tuple(devices), "resolved": {**record.resolved, **resolved}}
        return record.model_copy(update=own)

    return change


def slow(path: Path, devices: list[str], capability: object) -> dict[str, SlowPrecision | None]:
    """What is slow in a run of all precisions, by precision."""
    folder = made_run(path, PRECISIONS, change=on(devices))
    environment = copy.deepcopy(ENVIRONMENT)
    part = {"uuid": SLICE, "compute_capability": capability}
    card = {"uuid": CARD, "compute_capability": capability, "instances": [part]}
    environment["node-1"] = {"gpus": [card]}
    info = folder.info()
    calls = [call.model_copy(update={"environment": environment}) for call in info.invocations]
    folder.write_info(info.model_copy(update={"invocations": tuple(calls)}))
    found = {v.label.partition("=")[2]: v.slow_precision for v in summarize(path).variants}
    assert found.pop("float32") is None
    return found


def test_cpus_emulate_float16(tmp_path: Path) -> None:
    found = slow(tmp_path / "run", ["CPU:0"], "9.0")
    assert found == {
        "mixed_bfloat16": None,
        "mixed_float16": SlowPrecision("mixed_float16", None),
    }


@pytest.mark.parametrize("device", [CARD, SLICE])
@pytest.mark.parametrize(
    ("capability", "named"),
    [
        ("6.1", {"mixed_bfloat16", "mixed_float16"}),
        ("7.0", {"mixed_bfloat16"}),
        ("7.5", {"mixed_bfloat16"}),
        ("8.0", set()),
        ("12.0", set()),
        (None, set()),
        ("none", set()),
        (8.0, set()),
        (["8"], set()),
    ],
)
def test_tensor_cores_are_told_by_compute_capability(
    tmp_path: Path, device: str, capability: object, named: set[str]
) -> None:
    found = slow(tmp_path / "run", [device], capability)
    assert {policy for policy, of_policy in found.items() if of_policy} == named
    for policy in named:
        own = tuple(map(int, str(capability).split(".")))
        assert found[policy] == SlowPrecision(policy, (own[0], own[1]))


def test_a_gpu_without_a_record_of_its_capability_is_called_nothing(tmp_path: Path) -> None:
    assert not any(slow(tmp_path / "run", ["GPU:0"], "6.1").values())


@pytest.mark.parametrize(
    ("devices", "resolved", "unfused"),
    [
        ([CARD], {"batch_norm": "keras"}, True),
        ([CARD], {"batch_norm": "fused"}, False),
        ([CARD], {}, False),
        (["CPU:0"], {"batch_norm": "keras"}, False),
    ],
)
def test_a_summary_knows_of_batch_norm_in_many_kernels_on_gpus(
    tmp_path: Path, devices: list[str], resolved: dict[str, str], unfused: bool
) -> None:
    folder = made_run(tmp_path / "run", NORMS, change=on(devices, **resolved))
    assert summarize(folder.path).unfused_batch_norm is unfused


@pytest.mark.parametrize(
    ("workload", "jit", "devices", "resolved", "slow"),
    [
        ("convnet", "epoch", ["CPU:0"], {}, True),
        ("resnet50", "step", ["CPU:0"], {}, True),
        ("convnet", "none", ["CPU:0"], {}, False),
        ("convnet", "epoch", [CARD], {}, False),
        ("convnet", "epoch", [], {}, False),
        ("mlp", "epoch", ["CPU:0"], {}, False),
        ("own_nets:towers", "epoch", ["CPU:0"], {"has_convolutions": True}, True),
        ("own_nets:towers", "epoch", ["CPU:0"], {"has_convolutions": False}, False),
        ("own_nets:towers", "epoch", ["CPU:0"], {}, False),
    ],
)
def test_what_xla_slows_on_a_cpu_is_known_of_its_times(
    tmp_path: Path,
    workload: str,
    jit: Jit,
    devices: list[str],
    resolved: dict[str, Any],
    slow: bool,
) -> None:
    suite = {**NORMS, "variant": {"workload": workload, "jit": jit, "epochs": 3}}
    folder = made_run(tmp_path / "run", suite, change=on(devices, **resolved))
    expected = SlowJit(workload, jit, xla_slowdown(workload, jit, "cpu") or 0) if slow else None
    assert {variant.slow_jit for variant in summarize(folder.path).variants} == {expected}
