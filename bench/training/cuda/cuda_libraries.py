"""Load CUDA's libraries from pip's packages before TensorFlow looks for them.

Usage:
    load_installed()            # before TensorFlow is imported
    load_failures()             # {"libcusolver.so.11": "... cannot open shared object file ..."}

TensorFlow opens each library by its soname. The loader searches LD_LIBRARY_PATH, then the RUNPATH
of libtensorflow_framework.so.2, which in TensorFlow 2.21.0 lists the folders of all of NVIDIA's
packages except nvidia/cusolver/lib (``readelf -d``). If one library is missing, TensorFlow
registers no GPU. A library that is already loaded is found by its soname, wherever its file is.
Nothing here imports TensorFlow.
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
"""TensorFlow registers no GPU if one is missing; each library follows those that it needs."""
NEEDED = (*_REGISTERING, "libnccl.so.2")
"""The libraries that training on several GPUs opens, by soname (TensorFlow 2.21, CUDA 12)."""

_DRIVER = "libcuda.so.1"


def load_installed() -> None:
    """Load the libraries that TensorFlow needs from pip's packages.

    Without a driver, or with all GPUs hidden, the libraries would only cost time and memory, so
    nothing is loaded. TensorFlow itself reports a library that does not load.
    """
    if _gpus_are_hidden() or not has_driver():
        return
    for soname in _REGISTERING:
        if _packaged(soname):
            with contextlib.suppress(OSError):
                _load(soname)


def load_failures() -> dict[str, str]:
    """Return the loader's message for each library of ``NEEDED`` that does not load."""
    failures = {}
    for soname in NEEDED:
        try:
            _load(soname)
        except OSError as error:
            failures[soname] = str(error)
    return failures


def has_driver() -> bool:
    """Return whether the library of NVIDIA's driver loads; TensorFlow uses the same test."""
    try:
        ctypes.CDLL(_DRIVER)
    except OSError:
        return False
    return True


def installed_file(pattern: str) -> Path | None:
    """Return the first file in NVIDIA's packages that matches ``pattern``, or None.

    The pattern is a glob, such as "*/lib/libnccl.so.2".
    """
    spec = importlib.util.find_spec("nvidia")
    folders = (spec.submodule_search_locations if spec else None) or ()
    return next((path for folder in folders for path in Path(folder).glob(pattern)), None)


def _load(soname: str) -> None:
    ctypes.CDLL(str(_packaged(soname) or soname))


def _packaged(soname: str) -> Path | None:
    """Return the library in NVIDIA's packages; None if LD_LIBRARY_PATH has it already."""
    folders = os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    if any(folder and (Path(folder) / soname).exists() for folder in folders):
        return None
    return installed_file(f"*/lib/{soname}")


def _gpus_are_hidden() -> bool:
    # CUDA ignores the list from the first entry that names no device.
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "all").split(",")[0].strip()
    return first in ("", "-1", "NoDevFiles")
