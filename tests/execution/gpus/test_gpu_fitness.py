"""A worker checks its GPUs before a trial, through the real binding in a new process."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CARD_0 = "GPU-0000aaaa-0000-0000-0000-000000000000"
CARD_1 = "GPU-1000aaaa-0000-0000-0000-000000000000"
GIB = 2**30

TAKES = """
import dataclasses, json, sys
from bench.execution.gpus.gpu_fitness import GpuAllotment, acquire_gpus

names, logical, baselines = json.loads(sys.argv[1])
allotment = GpuAllotment(len(names), logical, baselines, free_timeout_s=0.0)
print(json.dumps(dataclasses.asdict(acquire_gpus(names, allotment))))
"""


def acquired(
    fake_nvml: Path,
    *names: str,
    logical: bool = False,
    baselines: dict[str, int] | None = None,
    **fake: object,
) -> dict[str, Any]:
    """What is answered on a machine of two cards."""
    done = subprocess.run(
        [sys.executable, "-c", TAKES, json.dumps([names, logical, baselines or {}])],
        env={
            **os.environ,
            "LD_LIBRARY_PATH": str(fake_nvml),
            "FAKE_GPUS": "2",
            **{f"FAKE_NVML_{key.upper()}": str(value) for key, value in fake.items()},
        },
        capture_output=True,
        text=True,
        check=True,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_free_gpus_are_named_by_uuid(fake_nvml: Path) -> None:
    assert acquired(fake_nvml, "0", "1") == {
        "devices": [CARD_1, CARD_0],
        "uuids": [CARD_1, CARD_0],
        "warnings": [],
    }


def test_only_the_busy_one_of_several_gpus_is_unfit(fake_nvml: Path) -> None:
    (gpu,) = acquired(fake_nvml, "0", "1", computing=1234)["gpus"]
    assert (gpu["name"], gpu["uuid"]) == ("1", CARD_0)
    assert "1234" in gpu["unfit"]


def test_memory_beyond_the_baseline_without_a_visible_process_gives_a_warning(
    fake_nvml: Path,
) -> None:
    grown = acquired(fake_nvml, "1", baselines={CARD_0: GIB}, free_after=999)
    assert grown["devices"] == [CARD_0]
    (warning,) = grown["warnings"]
    assert CARD_0 in warning
    same = acquired(fake_nvml, "1", baselines={CARD_0: 8 * GIB}, free_after=999)
    assert same["warnings"] == []


@pytest.mark.parametrize("name", ["2", "-1"])
def test_a_gpu_that_the_driver_does_not_know_is_unfit_unless_it_is_only_counted(
    fake_nvml: Path, name: str
) -> None:
    (gpu,) = acquired(fake_nvml, "0", name)["gpus"]
    assert (gpu["name"], gpu["uuid"]) == (name, None)
    assert acquired(fake_nvml, "0", name, logical=True)["uuids"] == [CARD_1]


def test_with_a_broken_driver_no_gpu_is_fit_unless_it_is_only_counted(
    fake_nvml: Path,
) -> None:
    broken = "nvmlInitWithFlags=18"
    found = acquired(fake_nvml, "0", "1", fail=broken)["gpus"]
    assert [gpu["name"] for gpu in found] == ["0", "1"]
    assert acquired(fake_nvml, "0", "1", fail=broken, logical=True)["uuids"] == []


def test_without_a_driver_tensorflow_decides_whether_there_is_a_gpu(fake_nvml: Path) -> None:
    found = acquired(fake_nvml, "0", fail="nvmlInitWithFlags=9")
    assert (found["devices"], found["uuids"]) == (["0"], [])
