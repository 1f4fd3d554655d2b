"""From facts about a machine to what works, what does not, and how to mend it.

Usage:
    for check in tensorflow_checks(reply, environment): ...

The facts come as plain data: ``bench.measure.environment`` for the machine, the replies of the
probes for TensorFlow and Ray. ``bench.doctor.doctor`` gathers them.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bench.datasets.fashion_mnist import FileCheck
from bench.execution.gpus.gpu_support import INSTALL_CUDA, gpu_fault
from bench.execution.ray_backend.ray_storage import base_folder

State = Literal["ok", "missing", "broken"]
_Facts = Mapping[str, Any]

_LEAST_MEMORY_BYTES = 2 * 2**30
_LEAST_SHARED_BYTES = 2**30
_LEAST_DISK_BYTES = 2**30
_INSTALL = "make install, or pip install trainbench"
_WRONG = "the device computes wrongly: update its driver, then test it (dcgmi diag, dmesg)"
_BACKEND = "unset KERAS_BACKEND, or mend ~/.keras"
_OTHER_BACKENDS = ("jax", "torch", "flax", "openvino")
"""What Keras imports where a variable or a keras.json names another backend."""
_SAME_ON_ALL_NODES = ("tensorflow", "keras", "ray", "numpy", "trainbench")


@dataclass(frozen=True)
class Check:
    """One thing looked at: what was found, and where it does not work what to do."""

    name: str
    state: State
    found: str
    remedy: str | None = None


def python_checks(facts: _Facts) -> list[Check]:
    """The interpreter, and whether the packages have a place of their own."""
    version = f"{facts['python']['version']} ({facts['python']['kind']})"
    right = (3, 11) <= sys.version_info[:2] <= (3, 13)
    apart = sys.prefix != sys.base_prefix or "CONDA_PREFIX" in os.environ
    kind = "yes" if apart else f"none, in a container ({facts['container']})"
    return [
        Check("Python", "ok", version)
        if right
        else Check("Python", "broken", version, "use Python 3.11, 3.12 or 3.13"),
        Check("Virtual environment", "ok", kind)
        if apart or facts["container"]
        else Check("Virtual environment", "missing", "none", "make install makes one in .venv"),
    ]


def variables_check(conflict: str | None) -> Check:
    """Whether a variable or a keras.json contradicts what suites say, as ``conflict`` has it."""
    if conflict is None:
        return Check("Variables", "ok", "none that contradicts a suite")
    found, _, remedy = conflict.rpartition(": ")
    return Check("Variables", "broken", found, remedy)


def machine_checks(facts: _Facts) -> list[Check]:
    """The processor, the memory and the part of it that processes share."""
    cpu, memory = facts["cpu"], facts["memory"]
    cores = f"{cpu['model'] or 'unknown'}, {cpu['usable_cores']} of {cpu['logical_cores']} cores"
    held = memory["limit_bytes"] or memory["total_bytes"]
    limit = " (the limit of its group)" if memory["limit_bytes"] else ""
    text = f"{_gb(min(held, memory['total_bytes']))}{limit}, {_gb(memory['available_bytes'])} free"
    enough = min(held, memory["available_bytes"]) >= _LEAST_MEMORY_BYTES
    remedy = f"end other programs or raise the limit: training needs {_gb(_LEAST_MEMORY_BYTES)}"
    return [
        Check("CPU", "ok", cores),
        Check("Memory", "ok", text) if enough else Check("Memory", "broken", text, remedy),
        *_shared_memory(memory["shared_bytes"]),
    ]


def tensorflow_checks(reply: _Facts, facts: _Facts) -> list[Check]:
    """TensorFlow's build, XLA and the strategies."""
    if reply["error"]:
        return [_no_tensorflow(reply)]
    packages = facts["packages"]
    build = f"CUDA {reply['cuda']}, cuDNN {reply['cudnn']}" if reply["cuda_build"] else "CPU only"
    onednn = "on" if reply["onednn"] else "off"
    found = f"{reply['tensorflow']}, Keras {reply['keras']} (build: {build}; oneDNN {onednn})"
    own = Check("TensorFlow", "ok", found)
    if {"tensorflow", "tensorflow-cpu"} <= packages.keys():
        remedy = "pip uninstall tensorflow-cpu tensorflow, then make install"
        own = Check("TensorFlow", "broken", f"{found}, and tensorflow-cpu over it", remedy)
    elif reply["keras_backend"] != "tensorflow":
        found = f"Keras runs on {reply['keras_backend']}, not on TensorFlow"
        own = Check("TensorFlow", "broken", found, _BACKEND)
    return [own, _xla(reply), _strategies(reply)]


def _shared_memory(size_bytes: int | None) -> list[Check]:
    """/dev/shm, through which Ray hands out data and NCCL may sum; a container has 64 MB of it."""
    if size_bytes is None:
        return []
    found = f"{_gb(size_bytes)} in /dev/shm"
    if size_bytes >= _LEAST_SHARED_BYTES:
        return [Check("Shared memory", "ok", found)]
    remedy = "start the container with --shm-size=8g, or give the pod a memory volume at /dev/shm"
    return [Check("Shared memory", "broken", found, remedy)]


def data_check(files: Sequence[FileCheck], *, cache_writable: bool = True) -> Check:
    """The first place that holds the whole data set; else what is wrong where some of it is."""
    places: dict[str, list[FileCheck]] = {}
    for file in files:
        places.setdefault(file.place, []).append(file)
    for place, held in places.items():
        if all(file.ok for file in held):
            return Check("Fashion-MNIST", "ok", f"{place}: {held[0].path.parent}")
    spoilt = [file for file in files if not file.ok and file.path.is_file()]
    if spoilt:
        reasons = "; ".join(f"{file.path} {file.problem}" for file in spoilt)
        return Check("Fashion-MNIST", "broken", reasons, "bench data fetch --force")
    remedy = "bench data fetch"
    if not cache_writable:
        remedy = f"name a writable folder in BENCH_CACHE_DIR, then {remedy}"
    return Check("Fashion-MNIST", "missing", "in none of its places", remedy)


def ray_check(reply: _Facts, address: str | None) -> Check:
    """Whether a run could start on Ray, and whether its nodes can train and are alike."""
    where = f"the cluster at {address}" if address else "a local start"
    if reply["error"]:
        reason, _, remedy = reply["error"].rpartition(": ")
        if not reply.get("expected"):
            logs = base_folder() / "ray-*/ray/session_latest/logs"
            reason, remedy = reply["error"], f"{_INSTALL}; see the newest of {logs}"
        return Check("Ray", "broken", f"{where} failed: {reason}", remedy)
    nodes: dict[str, _Facts] = reply["nodes"]
    cores = sum(node["cpu"]["usable_cores"] for node in nodes.values())
    gpus = sum(len(node["gpus"]) for node in nodes.values())
    found = f"{where} works (nodes: {len(nodes)}, cores: {cores}, GPUs: {gpus})"
    # Of this machine, they are checked already.
    faults = {name: fault for name, n in nodes.items() if address and (fault := gpu_fault(n))}
    if faults:
        reasons = "; ".join(f"node {name}: {fault.problem}" for name, fault in faults.items())
        remedies = dict.fromkeys(fault.remedy for fault in faults.values())
        return Check("Ray", "broken", f"{found}, but {reasons}", "; ".join(remedies))
    if unlike := _unlike(nodes):
        found = f"{found}, but versions differ: {'; '.join(unlike)}"
        return Check("Ray", "broken", found, "install the same versions on every node")
    return Check("Ray", "ok", found)


def _unlike(nodes: Mapping[str, _Facts]) -> list[str]:
    """The packages whose versions differ among nodes, with those versions."""
    return [
        f"{package} ({', '.join(versions)})"
        for package in _SAME_ON_ALL_NODES
        if len(versions := sorted({str(n["packages"].get(package)) for n in nodes.values()})) > 1
    ]


def disk_check(folder: str, free_bytes: int, writable: bool) -> Check:
    """Room for results in ``folder``."""
    found = f"{_gb(free_bytes)} free in {folder}"
    if not writable:
        remedy = "make it writable, or name another folder with --out"
        return Check("Results", "broken", f"{folder} cannot be written", remedy)
    if free_bytes < _LEAST_DISK_BYTES:
        return Check("Results", "broken", found, "free some, or name another disk with --out")
    return Check("Results", "ok", found)


def _no_tensorflow(reply: _Facts) -> Check:
    error = str(reply["error"])
    if reply.get("signal") == "SIGILL":
        remedy = "this CPU lacks instructions that its packages need (AVX): use another machine"
        return Check("TensorFlow", "broken", error, remedy)
    if reply.get("refused_flags"):
        reason, _, remedy = error.rpartition(": ")
        return Check("TensorFlow", "broken", reason, remedy)
    if reply.get("timed_out"):
        remedy = "a GPU may hang: see nvidia-smi and dmesg, or try CUDA_VISIBLE_DEVICES=-1"
        return Check("TensorFlow", "broken", error, remedy)
    if any(f"No module named '{name}'" in error for name in _OTHER_BACKENDS):
        return Check("TensorFlow", "broken", error, _BACKEND)
    if "No module named 'tensorflow'" in error or "No module named 'keras'" in error:
        return Check("TensorFlow", "missing", "not installed", _INSTALL)
    return Check("TensorFlow", "broken", error, f"install it anew: {_INSTALL}")


def _xla(reply: _Facts) -> Check:
    if reply["xla"] is None:
        return Check("XLA", "ok", "compiles")
    remedy = _WRONG if _is_wrong(reply["xla"]) else f'use jit = "none", or {INSTALL_CUDA}'
    return Check("XLA", "broken", reply["xla"], remedy)


def _strategies(reply: _Facts) -> Check:
    working = [name for name, reason in reply["strategies"].items() if reason is None]
    failing = {name: reason for name, reason in reply["strategies"].items() if reason}
    found = f"{', '.join(working) or 'none'} work"
    if not failing:
        return Check("Strategies", "ok", found)
    reasons = "; ".join(f"{name}: {reason}" for name, reason in failing.items())
    refused = [name for name, reason in failing.items() if not _is_wrong(reason)]
    remedies = [_WRONG] if len(refused) < len(failing) else []
    if refused:
        remedies.append(f"leave {', '.join(refused)} out of suites, or {INSTALL_CUDA}")
    return Check("Strategies", "broken", f"{found}; {reasons}", "; ".join(remedies))


def _is_wrong(reason: str) -> bool:
    """Whether the probe's trial ran, and its result is wrong."""
    return reason.startswith(ArithmeticError.__name__)


def _gb(count_bytes: int) -> str:
    return f"{count_bytes / 1e9:.1f} GB"
