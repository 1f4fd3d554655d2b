"""The doctor on this very machine, and its probes where something is amiss."""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bench.doctor.doctor import examine
from bench.execution.subprocess_probe import probe_in_subprocess


@pytest.fixture
def ray_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where Ray keeps its logs and sockets; short, since a socket's path must be."""
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        monkeypatch.setenv("RAY_TMPDIR", folder)
        yield Path(folder)


def _writing_below(folder: Path) -> list[str]:
    """Processes that hold a file open there; Ray renames its own, but each keeps a log."""
    checks = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if any(file.path.startswith(str(folder)) for file in process.open_files()):
                checks.append(process.name())
    return checks


def _soon_none(folder: Path) -> bool:
    for _ in range(40):
        if not _writing_below(folder):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.slow
def test_a_machine_that_can_run_these_tests_passes_all_checks_and_is_unchanged(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fashion_mnist_dir: Path,
    ray_folder: Path,
) -> None:
    monkeypatch.setenv("BENCH_DATA_DIR", str(fashion_mnist_dir))
    checks = {check.name: check for check in examine(results=tmp_path / "not" / "yet")}
    for name in ("Python", "CPU", "TensorFlow", "XLA", "Strategies", "Fashion-MNIST", "Ray"):
        assert checks[name].state == "ok", checks[name]
    assert checks["Ray"].finding.startswith("a local start works (nodes: 1")
    assert checks["Results"].state == "ok"
    assert _soon_none(ray_folder)
    assert list(ray_folder.iterdir()) == []
    assert not (tmp_path / "not").exists()


@pytest.mark.slow
def test_exiting_while_ray_is_up_leaves_nothing_running(ray_folder: Path) -> None:
    with probe_in_subprocess("bench.execution.ray_backend.process.ray_probe"):
        while not any(ray_folder.rglob("python-core-driver*.log")):
            time.sleep(0.05)
        assert _writing_below(ray_folder)
    assert _soon_none(ray_folder)


def test_the_doctor_itself_imports_neither_tensorflow_nor_ray() -> None:
    code = (
        "import sys, bench.doctor.doctor; "
        "print({'tensorflow', 'keras', 'ray', 'pandas'} & sys.modules.keys())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def test_an_address_without_an_answer_says_what_to_correct() -> None:
    with probe_in_subprocess(
        "bench.execution.ray_backend.process.ray_probe", "127.0.0.1:1"
    ) as answer:
        reply = answer()
    assert reply["expected"]
    assert reply["error"].startswith("no Ray answers at 127.0.0.1:1")


def test_a_damaged_tensorflow_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tensorflow.py").write_text("raise ImportError('libcudart.so:\\n not found')")
    (tmp_path / "keras.py").touch()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(Path.cwd())]))
    with probe_in_subprocess("bench.training.tensorflow_probe") as answer:
        assert answer() == {"error": "ImportError: libcudart.so: not found"}
