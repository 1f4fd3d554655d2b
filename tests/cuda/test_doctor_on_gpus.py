"""The doctor finds faults on machines with GPUs that the counting stack describes."""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.doctor.machine_checks import Check
from tests.cuda.conftest import run_python
from tests.cuda.stack import DRIVER, Stack, lay_out_wheels, subset

pytestmark = pytest.mark.slow

EXAMINE_CODE = """
import dataclasses, json
from pathlib import Path
from bench.doctor.doctor import examine
print(json.dumps([dataclasses.asdict(check) for check in examine(results=Path("runs"))]))
"""
COMMAND = """
import sys
from bench.cli import main
from bench.doctor import doctor
probe = doctor._probe
def passing(*arguments, **options):
    answer, ray = probe(*arguments, **options)
    return {**answer, "xla": None, "strategies": dict.fromkeys(answer["strategies"])}, ray
doctor._probe = passing
sys.argv = ["bench", "doctor"]
main()
"""
"""The command, with results of XLA and the strategies as on real GPUs."""
CHECKED = ("GPUs", "GPU use", "TensorFlow", "CUDA libraries", "GPUs in TensorFlow", "Ray")
"""Not XLA and the strategies: kernels compute nothing here, so the probe's results are wrong."""

LINGERING = """
import atexit, ctypes, os, sys, time
if "bench.training.tensorflow_probe" in sys.orig_argv:
    nvml = ctypes.CDLL("libnvidia-ml.so.1")
    for card in range(int(os.environ["FAKE_GPUS"])):
        nvml.memory_charge(card, -1, ctypes.c_longlong(0))
    atexit.register(time.sleep, 20)
"""
"""A sitecustomize with which TensorFlow's probe uses all GPUs from its start, for a long time."""

Examine = Callable[..., dict[str, Check]]


@pytest.fixture
def examine(cuda_stack: Stack, tmp_path: Path) -> Examine:
    """Return the checks by name, on the machine that ``variables`` describe.

    All processes of a test share the GPUs' memory, so each sees the others.
    """

    def run_checks(stack: Stack = cuda_stack, gpus: int = 2, **variables: str) -> dict[str, Check]:
        machine = stack.environment(gpus, variables, memory=tmp_path / "memory")
        env = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", **machine}
        # A socket's path must be short.
        env["RAY_TMPDIR"] = "/tmp"
        checks = [
            Check(**each) for each in json.loads(run_python(EXAMINE_CODE, env).splitlines()[-1])
        ]
        return {check.name: check for check in checks if check.name in CHECKED}

    return run_checks


def broken_checks(checks: dict[str, Check]) -> set[str]:
    return {name for name, check in checks.items() if check.state != "ok"}


def test_eight_sound_gpus_pass(cuda_stack: Stack, tmp_path: Path) -> None:
    # Ray's probe still finds the GPUs free, since it starts after TensorFlow's has ended.
    (tmp_path / "sitecustomize.py").write_text(LINGERING)
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as ray_folder:
        variables = {"PYTHONPATH": str(tmp_path), "RAY_TMPDIR": ray_folder}
        env = cuda_stack.environment(8, variables, memory=tmp_path / "memory")
        command = [sys.executable, "-c", COMMAND]
        result = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    screen = result.stdout.splitlines()
    rows = [re.split(" {2,}", line, maxsplit=2) for line in screen if line[:1].strip()]
    checks = {name: (state, text) for state, name, text in (row for row in rows if len(row) == 3)}
    assert {checks[name][0] for name in (*CHECKED, "XLA", "Strategies")} == {"ok"}, result.stdout
    assert checks["GPUs"][1].startswith("0-7 Fake H100")
    assert checks["GPUs in TensorFlow"][1] == "8 of 8"
    assert "GPUs: 8" in checks["Ray"][1]
    assert len(screen) <= 30
    # Other faults are those of the memory, the disk or the PATH of the machine under test.
    faults = {name for name, (state, _) in checks.items() if state == "broken"}
    assert faults <= {"Memory", "Shared memory", "Results", "ptxas"}
    assert result.returncode == (5 if faults else 0)


def test_an_old_driver_must_be_updated(examine: Examine) -> None:
    checks = examine(FAKE_CUDA_VERSION="12.4", FAKE_DRIVER_VERSION="550.54.14")
    assert broken_checks(checks) == {"GPUs"}
    assert "550.54.14" in checks["GPUs"].finding
    assert "CUDA 12.5" in str(checks["GPUs"].remedy)


def test_a_busy_gpu_is_named_with_its_process_and_left_out(examine: Examine) -> None:
    # The driver's first GPU is the last on the bus.
    checks = examine(gpus=3, FAKE_NVML_COMPUTING="4242")
    assert broken_checks(checks) == set()
    assert "GPU 2" in checks["GPU use"].finding and "4242" in checks["GPU use"].finding


REGISTERED = """
import bench.training
import tensorflow as tf
print(len(tf.config.list_physical_devices("GPU")))
"""


def test_libraries_from_pip_are_found_and_a_missing_one_is_named(
    cuda_stack: Stack, tmp_path: Path, examine: Examine
) -> None:
    site = tmp_path / "site-packages"
    lay_out_wheels(cuda_stack, site)
    driver = subset(cuda_stack, tmp_path / "driver", DRIVER)
    path = {"PYTHONPATH": f"{site}:{Path.cwd()}", "LD_LIBRARY_PATH": str(driver.folder)}
    assert run_python(REGISTERED, {**driver.environment(2), **path}).split()[-1] == "2"

    (site / "nvidia/cusolver/lib/libcusolver.so.11").unlink()
    checks = examine(driver, **path)
    assert broken_checks(checks) == {"CUDA libraries", "GPUs in TensorFlow"}
    message = checks["CUDA libraries"].finding
    assert "libcusolver.so.11" in message and "cannot open shared object file" in message
    assert "libcudnn" not in message
    assert "EXTRAS=dev,gpu" in str(checks["CUDA libraries"].remedy)
