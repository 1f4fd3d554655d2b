"""The doctor on machines with GPUs that the counting stack describes: what it finds amiss."""

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

EXAMINED = """
import dataclasses, json
from pathlib import Path
from bench.doctor.doctor import examine
print(json.dumps([dataclasses.asdict(check) for check in examine(results=Path("runs"))]))
"""
COMMAND = """
import sys
from bench.cli import main
from bench.doctor import doctor
tried = doctor._tried
def computed(*arguments, **named):
    seen, ray = tried(*arguments, **named)
    return {**seen, "xla": None, "strategies": dict.fromkeys(seen["strategies"])}, ray
doctor._tried = computed
sys.argv = ["bench", "doctor"]
main()
"""
"""The command itself, with the results of XLA and the strategies that real cards would compute."""
JUDGED = ("GPUs", "GPU use", "TensorFlow", "CUDA libraries", "GPUs in TensorFlow", "Ray")
"""Not XLA and the strategies: kernels compute nothing here, so what the probe computes is wrong."""

LINGERING = """
import atexit, ctypes, os, sys, time
if "bench.training.tensorflow_probe" in sys.orig_argv:
    nvml = ctypes.CDLL("libnvidia-ml.so.1")
    for card in range(int(os.environ["FAKE_GPUS"])):
        nvml.memory_charge(card, -1, ctypes.c_longlong(0))
    atexit.register(time.sleep, 20)
"""
"""A sitecustomize with which TensorFlow's probe is on all cards from its start, and for long."""

Examine = Callable[..., dict[str, Check]]


@pytest.fixture
def examine(cuda_stack: Stack, tmp_path: Path) -> Examine:
    """The checks to judge, by name, on the machine that ``variables`` describe.

    All processes of a test share the memory of its cards: each sees who else is on them.
    """

    def examined(stack: Stack = cuda_stack, gpus: int = 2, **variables: str) -> dict[str, Check]:
        machine = stack.environment(gpus, variables, memory=tmp_path / "memory")
        env = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", **machine}
        # Short, since a socket's path must be.
        env["RAY_TMPDIR"] = "/tmp"
        found = [Check(**each) for each in json.loads(run_python(EXAMINED, env).splitlines()[-1])]
        return {check.name: check for check in found if check.name in JUDGED}

    return examined


def broken(checks: dict[str, Check]) -> set[str]:
    return {name for name, check in checks.items() if check.state != "ok"}


def test_eight_sound_gpus_have_nothing_to_mend(cuda_stack: Stack, tmp_path: Path) -> None:
    # Ray's probe finds them free all the same: it starts once TensorFlow's is gone.
    (tmp_path / "sitecustomize.py").write_text(LINGERING)
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as ray_folder:
        variables = {"PYTHONPATH": str(tmp_path), "RAY_TMPDIR": ray_folder}
        env = cuda_stack.environment(8, variables, memory=tmp_path / "memory")
        command = [sys.executable, "-c", COMMAND]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    screen = done.stdout.splitlines()
    rows = [re.split(" {2,}", line, maxsplit=2) for line in screen if line[:1].strip()]
    found = {name: (state, text) for state, name, text in (row for row in rows if len(row) == 3)}
    assert {found[name][0] for name in (*JUDGED, "XLA", "Strategies")} == {"ok"}, done.stdout
    assert found["GPUs"][1].startswith("0-7 Fake H100")
    assert found["GPUs in TensorFlow"][1] == "8 of 8"
    assert "GPUs: 8" in found["Ray"][1]
    assert len(screen) <= 30
    # What else is amiss is the memory, the disk or the PATH of whoever runs this test.
    amiss = {name for name, (state, _) in found.items() if state == "broken"}
    assert amiss <= {"Memory", "Shared memory", "Results", "ptxas"}
    assert done.returncode == (5 if amiss else 0)


def test_an_old_driver_is_to_be_updated(examine: Examine) -> None:
    checks = examine(FAKE_CUDA_VERSION="12.4", FAKE_DRIVER_VERSION="550.54.14")
    assert broken(checks) == {"GPUs"}
    assert "550.54.14" in checks["GPUs"].found
    assert "CUDA 12.5" in str(checks["GPUs"].remedy)


def test_a_busy_card_is_named_with_its_process_and_left_out(examine: Examine) -> None:
    # The driver's first card is the last on the bus.
    checks = examine(gpus=3, FAKE_NVML_COMPUTING="4242")
    assert broken(checks) == set()
    assert "GPU 2" in checks["GPU use"].found and "4242" in checks["GPU use"].found


REGISTERED = """
import bench.training
import tensorflow as tf
print(len(tf.config.list_physical_devices("GPU")))
"""


def test_libraries_as_pip_lays_them_out_are_found_and_one_that_is_gone_is_named(
    cuda_stack: Stack, tmp_path: Path, examine: Examine
) -> None:
    site = tmp_path / "site-packages"
    lay_out_wheels(cuda_stack, site)
    driver = subset(cuda_stack, tmp_path / "driver", DRIVER)
    path = {"PYTHONPATH": f"{site}:{Path.cwd()}", "LD_LIBRARY_PATH": str(driver.folder)}
    assert run_python(REGISTERED, {**driver.environment(2), **path}).split()[-1] == "2"

    (site / "nvidia/cusolver/lib/libcusolver.so.11").unlink()
    checks = examine(driver, **path)
    assert broken(checks) == {"CUDA libraries", "GPUs in TensorFlow"}
    found = checks["CUDA libraries"].found
    assert "libcusolver.so.11" in found and "cannot open shared object file" in found
    assert "libcudnn" not in found
    assert "EXTRAS=dev,gpu" in str(checks["CUDA libraries"].remedy)
