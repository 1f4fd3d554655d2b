"""Build a CUDA stack that counts work and computes nothing, from the C sources beside this file.

Usage:
    stack = build(tmp_path)                                  # every library in one folder
    run(command, env=stack.environment(2, {"FAKE_GPU_CAPABILITY": "8.9"}, counters=folder))
    for counts in read_counts(folder): ...                   # tests.cuda.counts

TensorFlow registers its GPUs and trains on them: data is placed and copied, and launched kernels do
nothing. Results are therefore garbage, times mean nothing, and neither is ever published.
``stack.h`` lists the variables that describe the machine, ``nvml.h`` those that make NVML fail or
answer.
"""

import os
import shutil
import subprocess
import sysconfig
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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
    "libcudnn.so.9": ("cudnn.c", "cudnn_graph.c"),
    "libcufft.so.11": ("empty.c",),
    "libcusolver.so.11": ("empty.c",),
    "libcusparse.so.12": ("empty.c",),
    "libnccl.so.2": ("nccl.c",),
}
"""Each library by its soname, and its sources."""

DRIVER = ("libcuda.so.1", "libnvidia-ml.so.1")
"""The libraries of NVIDIA's driver; pip installs the others."""

WHEELS: dict[str, tuple[str, ...]] = {
    "cublas": ("libcublas.so.12", "libcublasLt.so.12"),
    "cuda_runtime": ("libcudart.so.12",),
    "cudnn": ("libcudnn.so.9",),
    "cufft": ("libcufft.so.11",),
    "cusolver": ("libcusolver.so.11",),
    "cusparse": ("libcusparse.so.12",),
    "nccl": ("libnccl.so.2",),
}
"""The libraries of each of NVIDIA's wheels, by the wheel's folder below nvidia/."""

_MEMORY_BYTES = str(8 * 2**30)
"""Of a GPU. TensorFlow's allocator needs eight bytes of host memory for each 256 of it."""

# gnu2x: unused parameters need no name.
_COMPILE = ("cc", "-std=gnu2x", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror")


@dataclass(frozen=True)
class Stack:
    """Libraries in a folder, and the environment that makes a process load them."""

    folder: Path

    def environment(
        self,
        gpus: int = 1,
        variables: Mapping[str, str] | None = None,
        counters: Path | None = None,
        memory: Path | None = None,
    ) -> dict[str, str]:
        """Return this process's environment with ``gpus`` GPUs and ``variables``.

        Each process counts in its own file in the folder ``counters``. Processes with the same
        file ``memory`` share the GPUs' memory.
        """
        before = os.environ.get("LD_LIBRARY_PATH")
        path = f"{self.folder}:{before}" if before else str(self.folder)
        settings = {
            "LD_LIBRARY_PATH": path,
            "FAKE_GPUS": str(gpus),
            "FAKE_GPU_MEMORY_BYTES": _MEMORY_BYTES,
        }
        if counters is not None:
            settings["FAKE_CUDA_COUNTERS"] = str(counters)
        if memory is not None:
            settings["FAKE_CUDA_MEMORY"] = str(memory)
        return {**os.environ, **settings, **(variables or {})}


def build(folder: Path, libraries: Iterable[str] = tuple(LIBRARIES)) -> Stack:
    """Build ``libraries`` into ``folder``; the others are missing there."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in libraries:
        sources = [str(_SOURCES / source) for source in LIBRARIES[name]]
        # By its soname, a loader recognizes a library that is already loaded from elsewhere.
        link = ["-pthread", "-ldl", f"-Wl,-soname,{name}", "-o", str(folder / name)]
        subprocess.run([*_COMPILE, *sources, *link], check=True)
    return Stack(folder)


def subset(stack: Stack, folder: Path, libraries: Iterable[str]) -> Stack:
    """Link some libraries of ``stack`` into a folder, as on a machine that lacks the others."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in libraries:
        (folder / name).hardlink_to(stack.folder / name)
    return Stack(folder)


def lay_out_wheels(stack: Stack, site: Path) -> None:
    """Make ``site`` a folder of packages like that of ``make install`` on a machine with a GPU.

    It has this environment's packages, and the libraries of ``stack`` where pip puts those of
    NVIDIA's wheels. A process uses them with this folder in PYTHONPATH.
    """
    for wheel, libraries in WHEELS.items():
        subset(stack, site / "nvidia" / wheel / "lib", libraries)
    for package in Path(sysconfig.get_path("purelib")).iterdir():
        if package.name == "tensorflow":
            # Its libraries look for NVIDIA's relative to their path: these folders must be real.
            ignore = shutil.ignore_patterns("include", "__pycache__")
            shutil.copytree(package, site / "tensorflow", copy_function=os.symlink, ignore=ignore)
        elif package.name != "nvidia":
            (site / package.name).symlink_to(package)
