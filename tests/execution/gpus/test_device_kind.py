"""The kind of device that trials run on, from a node, a record or this machine."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.execution.gpus.device_kind import (
    CPU,
    GPU,
    DeviceKind,
    device_of_nodes,
    device_of_record,
    local_device,
)

PROCESSOR = {"cpu": {"model": "Model 1 CPU", "usable_cores": 2}}
LARGE = {"name": "NVIDIA H200", "uuid": "GPU-1", "memory_bytes": 141}
SMALL = {"name": "NVIDIA L4", "uuid": "GPU-2", "memory_bytes": 24}
ON_CPU = DeviceKind("Model 1 CPU, 2 cores", is_gpu=False)


def node(*cards: Any) -> dict[str, Any]:
    return {**PROCESSOR, "gpus": list(cards)}


def test_a_run_has_the_most_common_gpu_and_the_least_memory() -> None:
    nodes = {"a": node(LARGE, SMALL), "b": node(LARGE)}
    expected = DeviceKind("NVIDIA H200", is_gpu=True, memory_bytes=24)
    assert device_of_nodes(nodes, on_gpus=True) == expected
    assert device_of_nodes(nodes, on_gpus=False) == ON_CPU


def test_gpus_that_a_run_does_not_use_affect_neither_its_kind_nor_its_memory() -> None:
    nodes = {"a": node(LARGE, SMALL, {**SMALL, "uuid": "GPU-3"})}
    kind = device_of_nodes(nodes, on_gpus=True, among={"GPU-1"})
    assert kind == DeviceKind("NVIDIA H200", is_gpu=True, memory_bytes=141)


def test_memory_that_the_driver_does_not_report_is_unknown() -> None:
    kind = device_of_nodes({"a": node({"name": "NVIDIA GB10", "memory_bytes": None})}, on_gpus=True)
    assert (kind.name, kind.memory_bytes) == ("NVIDIA GB10", None)


def test_a_split_card_counts_as_its_instances() -> None:
    slice_of = {"name": "NVIDIA H200 MIG 1g.18gb", "uuid": "MIG-1", "memory_bytes": 18}
    kind = device_of_nodes({"a": node({**LARGE, "instances": [slice_of]})}, on_gpus=True)
    assert kind == DeviceKind("NVIDIA H200 MIG 1g.18gb", is_gpu=True, memory_bytes=18)


@pytest.mark.parametrize("nodes", [{}, {"a": None}, {"a": {"gpus": 3, "cpu": []}}, {"a": "b"}])
def test_an_empty_environment_gives_an_unknown_device(nodes: dict[str, Any]) -> None:
    assert device_of_nodes(nodes, on_gpus=False) == CPU
    assert device_of_nodes(nodes, on_gpus=True).memory_bytes is None


@pytest.mark.parametrize(
    ("devices", "name"),
    [(["GPU-2"], "NVIDIA L4"), (["CPU:0"], ON_CPU.name), (["GPU-3"], None), ([], None), (3, None)],
)
def test_a_record_s_device_is_looked_up_on_its_node(devices: Any, name: str | None) -> None:
    nodes = {"a (10.0.0.1)": node(LARGE, SMALL), "b": node()}
    kind = device_of_record({"node": "a", "devices": devices}, nodes)
    assert (kind and kind.name) == name


def here(nvml: Path, wanted: str = "auto", **variables: str) -> str:
    code = f"from bench.execution.gpus.device_kind import *; print(local_device({wanted!r}))"
    environ = {**os.environ, "LD_LIBRARY_PATH": str(nvml), **variables}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_this_machine_s_first_gpu_counts_unless_it_is_hidden_or_broken(fake_nvml: Path) -> None:
    assert "is_gpu=True" in here(fake_nvml)
    assert "is_gpu=False" in here(fake_nvml, CUDA_VISIBLE_DEVICES="-1")
    assert "is_gpu=False" in here(fake_nvml, FAKE_NVML_FAIL="nvmlDeviceGetName=999")
    assert "MIG" not in here(fake_nvml)


def test_a_plan_may_be_for_the_other_kind_of_device(fake_nvml: Path) -> None:
    assert "is_gpu=False" in here(fake_nvml, "cpu")
    assert here(fake_nvml, "gpu") == here(fake_nvml)
    assert local_device("gpu") == GPU
    assert (GPU.type, local_device("cpu").type) == ("gpu", "cpu")


def test_this_machine_s_cpu_has_the_name_from_its_environment() -> None:
    from bench.measure.environment import environment

    assert local_device() == device_of_nodes({"here": environment()}, on_gpus=False)
