"""CUDA's libraries as pip installs them, loaded before TensorFlow looks for them.

Usage:
    load_installed()            # before TensorFlow is imported
    load_failures()             # {"libcusolver.so.11": "... cannot open shared object file ..."}

TensorFlow opens each library by its soname, which the loader looks for in LD_LIBRARY_PATH and
then in the RUNPATH of libtensorflow_framework.so.2. In TensorFlow 2.21.0 that names the folders
of all of NVIDIA's packages but nvidia/cusolver/lib (``readelf -d``), and where one library is
not found, TensorFlow registers no GPU. The loader finds a library that is loaded already by its
soname, wherever it lies. Nothing here imports TensorFlow.
"""

import contextlib
import ctypes
import importlib.util
import os
from pathlib import Path

_REGISTERING = (
    *("libcudart.so.12", "libcublasLt.so.12", "libcublas.so.12", "libcufft.so.11"),
    *("libcusparse.so.12", "libcusolver.so.11", "libcudnn.so.9"),
)
"""Without any of these TensorFlow registers no GPU; a library stands after those it needs."""
NEEDED = (*_REGISTERING, "libnccl.so.2")
"""What training on several GPUs opens, by soname (TensorFlow 2.21, CUDA 12)."""

_DRIVER = "libcuda.so.1"


def load_installed() -> None:
    """Load what TensorFlow needs of pip's packages; nothing where it would see no GPU anyway.

    On a node without a driver, and in a process from which all GPUs are hidden, the libraries
    would only cost time and memory. What does not load is left to TensorFlow, which says so.
    """
    if _gpus_hidden() or not has_driver():
        return
    for soname in _REGISTERING:
        if _installed(soname):
            with contextlib.suppress(OSError):
                _load(soname)


def load_failures() -> dict[str, str]:
    """The loader's own words for each library of ``NEEDED`` that this process cannot load."""
    failures = {}
    for soname in NEEDED:
        try:
            _load(soname)
        except OSError as error:
            failures[soname] = str(error)
    return failures


def has_driver() -> bool:
    """Whether the library of NVIDIA's driver can be loaded, by which TensorFlow tells, too."""
    try:
        ctypes.CDLL(_DRIVER)
    except OSError:
        return False
    return True


def installed_file(pattern: str) -> Path | None:
    """The file of NVIDIA's packages that fits a glob pattern, such as "*/lib/libnccl.so.2"."""
    spec = importlib.util.find_spec("nvidia")
    folders = (spec.submodule_search_locations if spec else None) or ()
    return next((path for folder in folders for path in Path(folder).glob(pattern)), None)


def _load(soname: str) -> None:
    ctypes.CDLL(str(_installed(soname) or soname))


def _installed(soname: str) -> Path | None:
    """Where a package of NVIDIA's has the library; None where LD_LIBRARY_PATH comes first."""
    listed = os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    if any(folder and (Path(folder) / soname).exists() for folder in listed):
        return None
    return installed_file(f"*/lib/{soname}")


def _gpus_hidden() -> bool:
    # CUDA reads the list up to the first entry that names no device.
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "all").split(",")[0].strip()
    return first in ("", "-1", "NoDevFiles")
