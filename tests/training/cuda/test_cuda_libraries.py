"""A fresh process loads libraries as pip installs them, with a fake driver."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.training.cuda.cuda_libraries import NEEDED

PROGRAM = """
import json, sys
import bench.training
from bench.training.cuda.cuda_libraries import has_driver, load_failures
maps = open("/proc/self/maps").read()
print(json.dumps({
    "loaded": sorted({line.split()[-1] for line in maps.splitlines() if "/wheels/" in line}),
    "failures": load_failures() if has_driver() else None,
    "tensorflow": "tensorflow" in sys.modules,
}))
"""
SOLVER = "libcusolver.so.11"


def library(path: Path, *needs: Path) -> None:
    """Build an empty library at ``path`` whose soname is its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    source = ["cc", "-shared", "-fPIC", "-x", "c", "/dev/null", f"-Wl,-soname,{path.name}"]
    linked = ["-Wl,--no-as-needed", *(str(need) for need in needs)] if needs else []
    subprocess.run([*source, "-o", str(path), "-x", "none", *linked], check=True)


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """Install each library in its own folder below nvidia, as NVIDIA's packages do."""
    root = tmp_path / "wheels/nvidia"
    for number, soname in enumerate(NEEDED):
        library(root / f"package_{number}/lib" / soname)
    return root


@pytest.fixture
def driver(tmp_path: Path) -> Path:
    """Return a folder with the driver's library."""
    library(tmp_path / "driver/libcuda.so.1")
    return tmp_path / "driver"


def load(wheels: Path, *library_path: Path, **variables: str) -> Any:
    inherited = {k: v for k, v in os.environ.items() if k != "CUDA_VISIBLE_DEVICES"}
    paths = {
        "PYTHONPATH": os.pathsep.join([str(wheels.parent), str(Path.cwd())]),
        "LD_LIBRARY_PATH": os.pathsep.join(map(str, library_path)),
    }
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**inherited, **paths, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(run.stdout)


def test_libraries_from_pip_are_loaded_before_tensorflow(wheels: Path, driver: Path) -> None:
    answer = load(wheels, driver)
    names = {Path(path).name for path in answer["loaded"]}
    assert names == set(NEEDED) - {"libnccl.so.2"}  # TensorFlow finds NCCL when it needs it
    assert answer["failures"] == {}
    assert not answer["tensorflow"]


def test_without_a_driver_nothing_is_loaded(wheels: Path) -> None:
    assert load(wheels) == {"loaded": [], "failures": None, "tensorflow": False}


@pytest.mark.parametrize("hidden", ["", "-1", "NoDevFiles"])
def test_without_a_visible_gpu_nothing_is_loaded(wheels: Path, driver: Path, hidden: str) -> None:
    assert load(wheels, driver, CUDA_VISIBLE_DEVICES=hidden)["loaded"] == []


def test_a_library_that_the_user_chose_takes_precedence(
    wheels: Path, driver: Path, tmp_path: Path
) -> None:
    library(tmp_path / "chosen" / SOLVER)
    answer = load(wheels, driver, tmp_path / "chosen")
    assert SOLVER not in {Path(path).name for path in answer["loaded"]}
    assert answer["failures"] == {}


def test_a_missing_library_is_reported_with_the_loaders_message(wheels: Path, driver: Path) -> None:
    next(wheels.glob(f"*/lib/{SOLVER}")).unlink()
    failures = load(wheels, driver)["failures"]
    assert list(failures) == [SOLVER]
    assert "cannot open shared object file" in failures[SOLVER]


def test_a_library_with_a_missing_dependency_names_it(
    wheels: Path, driver: Path, tmp_path: Path
) -> None:
    library(tmp_path / "gone/libnvJitLink.so.12")
    solver = next(wheels.glob(f"*/lib/{SOLVER}"))
    library(solver, tmp_path / "gone/libnvJitLink.so.12")
    failures = load(wheels, driver)["failures"]
    assert failures[SOLVER].startswith("libnvJitLink.so.12")


def test_a_damaged_library_does_not_stop_the_process(wheels: Path, driver: Path) -> None:
    next(wheels.glob(f"*/lib/{SOLVER}")).write_bytes(b"not a library")
    assert list(load(wheels, driver)["failures"]) == [SOLVER]
