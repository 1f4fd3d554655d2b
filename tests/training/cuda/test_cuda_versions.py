"""Versions are read from loaded libraries, here from ones that the tests compile."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.training.cuda.cuda_versions import loaded_paths, loaded_versions, ptxas_version

SOURCES = {
    "libcudart.so.12": "int cudaRuntimeGetVersion(int *v) { *v = 12090; return 0; }",
    "libcublas.so.12": "int cublasGetProperty(int p, int *v) { *v = 12 / (p + 1); return 0; }",
    "libcudnn.so.9": "unsigned long cudnnGetVersion(void) { return 92800; }",
    "libnccl.so.2": "int ncclGetVersion(int *v) { *v = 23203; return 0; }",
    "libnvrtc.so.12": "int nvrtcVersion(int *a, int *b) { *a = 12; *b = 8; return 0; }",
    "libcufft.so.11": "int cufftGetProperty(int p, int *v) { return 1 + 0 * (p + *v); }",
    "libcusparse.so.12": "int no_version;",
}
PROGRAM = """
import ctypes, json, sys
libraries = [ctypes.CDLL(path) for path in sys.argv[1:]]
from bench.training.cuda.cuda_versions import loaded_versions
print(json.dumps(loaded_versions()["cuda_libraries"]))
"""


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cuda")
    for name, source in SOURCES.items():
        command = ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(folder / name)]
        subprocess.run(command, input=source, text=True, check=True)
    return folder


def versions(folder: Path, *names: str) -> Any:
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, *(str(folder / name) for name in names)],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(run.stdout)


def test_each_loaded_library_has_its_version(libraries: Path) -> None:
    by_name = versions(libraries, *SOURCES)
    assert by_name["cudart"] == "12.9"
    assert by_name["cublas"] == "12.6.4"
    assert by_name["cudnn"] == "9.28.0"
    assert by_name["nccl"] == "2.32.3"
    assert by_name["nvrtc"] == "12.8"


def test_a_library_that_is_not_loaded_or_fails_has_no_version(libraries: Path) -> None:
    by_name = versions(libraries, "libcudart.so.12", "libcufft.so.11", "libcusparse.so.12")
    assert by_name["cudnn"] is None
    assert by_name["cufft"] is None
    assert by_name["cusparse"] is None


def test_a_process_without_cuda_has_no_versions() -> None:
    assert loaded_versions() == {}


def test_paths_come_from_the_memory_maps() -> None:
    maps = (
        "7f00-7f01 r-xp 00000000 fe:00 12 /opt/a b/libcudnn.so.9\n"
        "7f01-7f02 r-xp 00000000 fe:00 13 /opt/libcudnn_ops.so.9\n"
        "7f02-7f03 r--p 00000000 fe:00 14 /usr/lib/libc.so.6\n"
        "7f03-7f04 rw-p 00000000 00:00 0 [heap]\n"
    )
    assert loaded_paths(maps) == {"cudnn": "/opt/a b/libcudnn.so.9"}


def assembler(folder: Path, output: str, code: int = 0) -> Path:
    folder.mkdir(parents=True)
    path = folder / "ptxas"
    path.write_text(f"#!/bin/sh\necho '{output}'\nexit {code}\n")
    path.chmod(0o755)
    return folder


def test_the_assembler_is_the_one_that_xla_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_path = assembler(tmp_path / "path", "Cuda compilation tools, release 13.0, V13.0.88")
    assembler(tmp_path / "data-dir/bin", "Cuda compilation tools, release 12.9, V12.9.86")
    monkeypatch.setenv("PATH", f"{on_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    assert ptxas_version() == "13.0.88"
    monkeypatch.setenv("XLA_FLAGS", f"--xla_gpu_cuda_data_dir={tmp_path / 'data-dir'}")
    assert ptxas_version() == "12.9.86"


def test_an_assembler_without_a_version_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    monkeypatch.setenv("PATH", str(assembler(tmp_path / "path", "broken", code=1)))
    assert ptxas_version() is None
