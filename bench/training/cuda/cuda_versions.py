"""Which CUDA this process runs on: the libraries that it has loaded, not those of the build.

Usage:
    resolved.update(loaded_versions())                 # after TensorFlow has used a GPU

Each library is found where the kernel has mapped it and asks nothing of a device. A library that
is not loaded, or does not answer, has the version None.
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
    """Versions by library, and that of ptxas, as plain data.

    {"cuda_libraries": {"cudart": "12.9", "cudnn": "9.28.0", "nccl": None, ...},
    "ptxas": "12.9.86"}. Nothing where no CUDA runtime is loaded.
    """
    paths = loaded_paths(_MAPS.read_text() if _MAPS.exists() else "")
    if "cudart" not in paths:
        return {}
    return {
        "cuda_libraries": {
            name: _asked(ask, paths[name]) if name in paths else None
            for name, ask in _QUESTIONS.items()
        },
        "ptxas": ptxas_version(),
    }


def loaded_paths(maps: str) -> dict[str, str]:
    """Where each library that can be asked lies, by its short name; ``maps`` as in proc(5)."""
    files = re.findall(r"^(?:\S+\s+){5}(/.*/lib(\w+)\.so[.\d]*)$", maps, re.MULTILINE)
    return {name: path for path, name in files if name in _QUESTIONS}


def ptxas_version() -> str | None:
    """The version of the assembler that XLA starts; None where there is none."""
    path = _ptxas()
    if path is None:
        return None
    try:
        done = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=_PTXAS_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"\bV(\d+(?:\.\d+)+)", done.stdout)
    return found.group(1) if found else None


def _ptxas() -> str | None:
    """The one that XLA of TensorFlow 2.21 takes, in its order (seen with strace)."""
    named = re.search(r"--xla_gpu_cuda_data_dir=(\S+)", os.environ.get("XLA_FLAGS", ""))
    in_named = shutil.which("ptxas", path=f"{named.group(1)}/bin") if named else None
    packaged = installed_file("cuda_nvcc/bin/ptxas")
    return in_named or shutil.which("ptxas") or (str(packaged) if packaged else None)


def _asked(ask: Callable[[Any], str], path: str) -> str | None:
    try:
        # RTLD_NOLOAD: what is not in this process any more is not to be loaded for a question.
        return ask(ctypes.CDLL(path, mode=os.RTLD_NOW | os.RTLD_NOLOAD))
    except (OSError, AttributeError, ValueError):
        return None


def _property(function: str) -> Callable[[Any], str]:
    def ask(library: Any) -> str:
        parts = []
        for part in _PROPERTIES:
            value = ctypes.c_int()
            if getattr(library, function)(part, ctypes.byref(value)) != 0:
                raise ValueError(function)
            parts.append(value.value)
        return ".".join(map(str, parts))

    return ask


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
    """As cuDNN 9 and NCCL 2.9 and later write it: 23203 is 2.32.3."""
    return f"{version // 10000}.{version % 10000 // 100}.{version % 100}"


_QUESTIONS: dict[str, Callable[[Any], str]] = {
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
