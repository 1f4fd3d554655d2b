"""A CUDA stack that counts and computes nothing, built from the C sources beside this file.

Usage:
    folder = build(tmp_path, ["libnvidia-ml.so.1"])
    subprocess.run(command, env={**os.environ, "LD_LIBRARY_PATH": str(folder), "FAKE_GPUS": "2"})

``stack.h`` says which variables describe the machine, ``nvml.h`` which make NVML fail or answer.
"""

import subprocess
from collections.abc import Iterable
from pathlib import Path

_SOURCES = Path(__file__).parent
_MEMORY = ("memory_table.c",)
_DRIVER = ("counters.c", "devices.c", "device_memory.c", "streams.c", "graphs.c")

LIBRARIES: dict[str, tuple[str, ...]] = {
    "libnvidia-ml.so.1": ("nvml.c", "nvml_rules.c", "nvml_state.c", *_MEMORY),
    "libcuda.so.1": (*_DRIVER, *_MEMORY),
    "libcudart.so.12": ("cudart.c",),
    "libcublas.so.12": ("cublas.c",),
    "libcublasLt.so.12": ("cublaslt.c",),
    "libcudnn.so.9": ("cudnn.c",),
    "libcufft.so.11": ("empty.c",),
    "libcusolver.so.11": ("empty.c",),
    "libcusparse.so.12": ("empty.c",),
    "libnccl.so.2": ("nccl.c",),
}
"""Each library by the name that a loader asks for, and the sources that it is made from."""

# gnu2x: parameters that are not looked at need no name.
_COMPILE = ("cc", "-std=gnu2x", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror")


def build(folder: Path, libraries: Iterable[str] = tuple(LIBRARIES)) -> Path:
    """Build ``libraries`` into ``folder``, which is returned."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in libraries:
        sources = [str(_SOURCES / source) for source in LIBRARIES[name]]
        command = [*_COMPILE, *sources, "-pthread", "-ldl", "-o", str(folder / name)]
        subprocess.run(command, check=True)
    return folder
