"""Tests of the remarks on GPUs, unfused batch norm, slow precisions and slow XLA."""

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
from tests.support.sample_records import ENVIRONMENT, NORMS, make_run

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
def test_gpus_are_recognised_by_uuid_or_tensorflow_name(devices: list[str], gpus: bool) -> None:
    assert on_gpus({"devices": devices}) is gpus
    assert has_unfused_batch_norm({"devices": devices, "batch_norm": "keras"}) is gpus
    assert not has_unfused_batch_norm({"devices": devices, "batch_norm": "fused"})
    assert not has_unfused_batch_norm({"devices": devices})


def on(devices: list[str], **resolved: Any) -> Callable[[TrialRecord], TrialRecord]:
    """Return a ``change`` in which every trial ran on ``devices``."""

    def change(record: TrialRecord) -> TrialRecord:
        update = {"devices": tuple(devices), "resolved": {**record.resolved, **resolved}}
        return record.model_copy(update=update)

    return change


def slow(path: Path, devices: list[str], capability: object) -> dict[str, SlowPrecision | None]:
    """Return the remark on each precision, from a run of all of them."""
    folder = make_run(path, PRECISIONS, change=on(devices))
    environment = copy.deepcopy(ENVIRONMENT)
    part = {"uuid": SLICE, "compute_capability": capability}
    card = {"uuid": CARD, "compute_capability": capability, "instances": [part]}
    environment["node-1"] = {"gpus": [card]}
    info = folder.info()
    calls = [call.model_copy(update={"environment": environment}) for call in info.invocations]
    folder.write_info(info.model_copy(update={"invocations": tuple(calls)}))
    remarks = {v.label.partition("=")[2]: v.slow_precision for v in summarize(path).variants}
    assert remarks.pop("float32") is None
    return remarks


def test_cpus_emulate_float16(tmp_path: Path) -> None:
    remarks = slow(tmp_path / "run", ["CPU:0"], "9.0")
    assert remarks == {
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
def test_tensor_cores_depend_on_compute_capability(
    tmp_path: Path, device: str, capability: object, named: set[str]
) -> None:
    remarks = slow(tmp_path / "run", [device], capability)
    assert {policy for policy, of_policy in remarks.items() if of_policy} == named
    for policy in named:
        major, minor = map(int, str(capability).split("."))
        assert remarks[policy] == SlowPrecision(policy, (major, minor))


def test_gpu_of_unknown_capability_has_no_remark(tmp_path: Path) -> None:
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
def test_summary_reports_unfused_batch_norm_on_gpus(
    tmp_path: Path, devices: list[str], resolved: dict[str, str], unfused: bool
) -> None:
    folder = make_run(tmp_path / "run", NORMS, change=on(devices, **resolved))
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
def test_slow_xla_on_a_cpu_is_reported(
    tmp_path: Path,
    workload: str,
    jit: Jit,
    devices: list[str],
    resolved: dict[str, Any],
    slow: bool,
) -> None:
    suite = {**NORMS, "variant": {"workload": workload, "jit": jit, "epochs": 3}}
    folder = make_run(tmp_path / "run", suite, change=on(devices, **resolved))
    expected = SlowJit(workload, jit, xla_slowdown(workload, jit, "cpu") or 0) if slow else None
    assert {variant.slow_jit for variant in summarize(folder.path).variants} == {expected}
