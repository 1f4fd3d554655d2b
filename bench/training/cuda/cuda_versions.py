"""Read the versions of the CUDA libraries that this process has loaded.

Usage:
    resolved.update(loaded_versions())                 # after TensorFlow has used a GPU

They may differ from those of TensorFlow's build. The kernel's memory maps give each library's
path; no call uses a device. The version is None if a library is not loaded or its call fails.
"""

import ctypes
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.training.cuda.cuda_libraries import installed_file

_MAPS = Path("/proc/self/maps")
_PTXAS_S = 10.0
_PROPERTIES = range(3)  # libraryPropertyType: MAJOR_VERSION, MINOR_VERSION, PATCH_LEVEL


def loaded_versions() -> dict[str, Any]:
    """Return the version of each library and of ptxas; empty if no CUDA runtime is loaded.

    {"cuda_libraries": {"cudart": "12.9", "cudnn": "9.28.0", "nccl": None, ...},
    "ptxas": "12.9.86"}
    """
    paths = loaded_paths(_MAPS.read_text() if _MAPS.exists() else "")
    if "cudart" not in paths:
        return {}
    return {
        "cuda_libraries": {
            name: _version(read, paths[name]) if name in paths else None
            for name, read in _READERS.items()
        },
        "ptxas": ptxas_version(),
    }


def loaded_paths(maps: str) -> dict[str, str]:
    """Return the path of each known library by its short name, from ``maps`` as in proc(5)."""
    files = re.findall(r"^(?:\S+\s+){5}(/.*/lib(\w+)\.so[.\d]*)$", maps, re.MULTILINE)
    return {name: path for path, name in files if name in _READERS}


def ptxas_version() -> str | None:
    """Return the version of the assembler that XLA starts, or None."""
    path = _ptxas()
    if path is None:
        return None
    try:
        result = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=_PTXAS_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"\bV(\d+(?:\.\d+)+)", result.stdout)
    return match.group(1) if match else None


def _ptxas() -> str | None:
    """Return the ptxas that XLA of TensorFlow 2.21 would find, in its order (seen with strace)."""
    flag = re.search(r"--xla_gpu_cuda_data_dir=(\S+)", os.environ.get("XLA_FLAGS", ""))
    in_data_dir = shutil.which("ptxas", path=f"{flag.group(1)}/bin") if flag else None
    packaged = installed_file("cuda_nvcc/bin/ptxas")
    return in_data_dir or shutil.which("ptxas") or (str(packaged) if packaged else None)


def _version(read: Callable[[Any], str], path: str) -> str | None:
    try:
        # RTLD_NOLOAD: do not load a library that the process has unloaded since.
        return read(ctypes.CDLL(path, mode=os.RTLD_NOW | os.RTLD_NOLOAD))
    except (OSError, AttributeError, ValueError):
        return None


def _property(function: str) -> Callable[[Any], str]:
    def read(library: Any) -> str:
        parts = []
        for part in _PROPERTIES:
            value = ctypes.c_int()
            if getattr(library, function)(part, ctypes.byref(value)) != 0:
                raise ValueError(function)
            parts.append(value.value)
        return ".".join(map(str, parts))

    return read


def _cudart(library: Any) -> str:
    value = ctypes.c_int()
    if library.cudaRuntimeGetVersion(ctypes.byref(value)) != 0:
        raise ValueError("cudaRuntimeGetVersion")
    return f"{value.value // 1000}.{value.value % 1000 // 10}"


def _cudnn(library: Any) -> str:
    library.cudnnGetVersion.restype = ctypes.c_size_t
    return _decimal(library.cudnnGetVersion())


def _nccl(library: Any) -> str:
    value = ctypes.c_int()
    if library.ncclGetVersion(ctypes.byref(value)) != 0:
        raise ValueError("ncclGetVersion")
    return _decimal(value.value)


def _nvrtc(library: Any) -> str:
    major, minor = ctypes.c_int(), ctypes.c_int()
    if library.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)) != 0:
        raise ValueError("nvrtcVersion")
    return f"{major.value}.{minor.value}"


def _decimal(version: int) -> str:
    """Decode a version as cuDNN 9 and NCCL 2.9 and later encode it: 23203 is 2.32.3."""
    return f"{version // 10000}.{version % 10000 // 100}.{version % 100}"


_READERS: dict[str, Callable[[Any], str]] = {
    "cudart": _cudart,
    "cublas": _property("cublasGetProperty"),
    "cublasLt": _property("cublasLtGetProperty"),
    "cudnn": _cudnn,
    "cufft": _property("cufftGetProperty"),
    "cusolver": _property("cusolverGetProperty"),
    "cusparse": _property("cusparseGetProperty"),
    "nccl": _nccl,
    "nvrtc": _nvrtc,
}
