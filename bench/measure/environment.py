"""Describe the hardware and software of a run: everything that may change its speed.

Usage:
    environment()["cpu"]["usable_cores"]

The result is plain data for JSON, with None for unknown values. It does not describe TensorFlow's
build: only a process that has imported TensorFlow knows that.
"""

import dataclasses
import importlib.metadata
import os
import platform
import re
from pathlib import Path
from typing import Any

import psutil

from bench.errors import ResourceError
from bench.measure import cgroup, host
from bench.measure.gpu import driver, gpus
from bench.measure.gpu_state import gpu_state
from bench.measure.source_revision import revision
from bench.spec.recorded_variables import recorded_values

PACKAGES = (
    *("trainbench", "tensorflow", "tensorflow-cpu", "keras", "ray", "numpy", "pandas", "pyarrow"),
    *("scipy", "pydantic", "psutil", "nvidia-ml-py", "ml_dtypes", "h5py", "protobuf"),
    *("nvidia-cuda-runtime-cu12", "nvidia-cublas-cu12", "nvidia-cudnn-cu12", "nvidia-nccl-cu12"),
    *("nvidia-cuda-nvcc-cu12", "nvidia-cuda-nvrtc-cu12", "nvidia-cusolver-cu12"),
)


def environment(root: Path = Path("/")) -> dict[str, Any]:
    """Return the operating system, CPU, memory, GPUs, packages, source revision and variables.

    ``root`` is the root of the kernel's files. A broken driver does not raise: "gpu_error" holds
    the reason.
    """
    source = revision()
    return {
        "os": _os(root),
        "python": {"version": platform.python_version(), "kind": platform.python_implementation()},
        "cpu": _cpu(root),
        "memory": _memory(root),
        "container": container(root),
        **_devices(),
        "packages": packages(),
        "source": dataclasses.asdict(source) if source else None,
        "variables": recorded_values(os.environ),
        "library_path": library_path(),
    }


def packages() -> dict[str, str]:
    """Return the versions of the relevant packages that are installed, importing none of them."""
    versions: dict[str, str] = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def container(root: Path = Path("/")) -> str | None:
    """Return the kind of container that this process runs in; None if there is no sign of one."""
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        return "kubernetes"
    if {"APPTAINER_CONTAINER", "SINGULARITY_CONTAINER"} & os.environ.keys():
        return "apptainer"
    if (root / ".dockerenv").exists():
        return "docker"
    if (root / "run/.containerenv").exists():
        return "podman"
    match = re.search("docker|kubepods|containerd|lxc", cgroup.read(root / "proc/1/cgroup") or "")
    return match.group() if match else None


def _os(root: Path) -> dict[str, str | None]:
    try:
        name = platform.freedesktop_os_release().get("PRETTY_NAME")
    except OSError:
        name = None
    return {
        "name": name or platform.system(),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        # Changes when the machine starts, which begins a new measurement session.
        "boot": cgroup.read(root / "proc/sys/kernel/random/boot_id"),
    }


def _cpu(root: Path) -> dict[str, Any]:
    cpus = root / "sys/devices/system/cpu"
    governors = {cgroup.read(path) for path in cpus.glob("cpu[0-9]*/cpufreq/scaling_governor")}
    return {
        "model": cpu_model(root),
        "physical_cores": psutil.cpu_count(logical=False),
        "logical_cores": psutil.cpu_count(),
        "usable_cores": host.usable_cores(),
        "affinity": list(host.affinity()),
        "quota_cores": cgroup.quota_cores(root),
        "governor": ", ".join(sorted(g for g in governors if g)) or None,
        "turbo": _turbo(cpus),
        "load_average": list(os.getloadavg()),
    }


def cpu_model(root: Path = Path("/")) -> str | None:
    """Return the CPU's name as the kernel reports it."""
    for line in (cgroup.read(root / "proc/cpuinfo") or "").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.processor() or None


def _turbo(cpus: Path) -> bool | None:
    """Return whether cores may exceed their base frequency; None if the kernel does not say."""
    off = cgroup.read(cpus / "intel_pstate/no_turbo")
    on = cgroup.read(cpus / "cpufreq/boost")
    return off == "0" if off is not None else (on == "1" if on is not None else None)


def _memory(root: Path) -> dict[str, int | None]:
    memory = psutil.virtual_memory()
    return {
        "total_bytes": int(memory.total),
        "available_bytes": int(memory.available),
        "limit_bytes": cgroup.memory_limit_bytes(root),
        "shared_bytes": _size_bytes(root / "dev/shm"),
    }


def _size_bytes(folder: Path) -> int | None:
    """Return the size of the file system at ``folder``; None if it does not exist."""
    try:
        file_system = os.statvfs(folder)
    except OSError:
        return None
    return file_system.f_frsize * file_system.f_blocks


def library_path() -> list[str]:
    """Return the folders of LD_LIBRARY_PATH, which take precedence over NVIDIA's packages."""
    return [f for f in os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep) if f]


def _devices() -> dict[str, Any]:
    try:
        cards, nvidia_driver, problem = gpus(), driver(), None
        states = [gpu_state(card.uuid) for card in cards]
    except ResourceError as error:
        cards, states, nvidia_driver, problem = (), [], None, str(error)
    return {
        "gpus": [
            {**dataclasses.asdict(card), "state": dataclasses.asdict(state)}
            for card, state in zip(cards, states, strict=True)
        ],
        "driver": dataclasses.asdict(nvidia_driver) if nvidia_driver else None,
        "gpu_error": problem,
    }
