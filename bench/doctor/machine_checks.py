"""Turn facts about a machine into checks: what works, what does not, and how to fix it.

Usage:
    for check in tensorflow_checks(reply, environment): ...

The facts are plain data: ``bench.measure.environment`` for the machine, and the probes' replies
for TensorFlow and Ray. ``bench.doctor.doctor`` collects them.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bench.datasets.fashion_mnist import FileCheck
from bench.execution.gpus.gpu_support import INSTALL_CUDA, gpu_fault
from bench.execution.ray_backend.local.ray_storage import base_folder

State = Literal["ok", "missing", "broken"]
_Facts = Mapping[str, Any]

_MIN_MEMORY_BYTES = 2 * 2**30
_MIN_SHARED_BYTES = 2**30
_MIN_DISK_BYTES = 2**30
_INSTALL = "make install, or pip install trainbench"
_WRONG_RESULT_REMEDY = (
    "the device computes wrongly: update its driver, then test it (dcgmi diag, dmesg)"
)
_BACKEND_REMEDY = "unset KERAS_BACKEND, or correct ~/.keras/keras.json"
_OTHER_BACKENDS = ("jax", "torch", "flax", "openvino")
"""Packages that Keras imports if a variable or a keras.json names another backend."""
_SAME_ON_ALL_NODES = ("tensorflow", "keras", "ray", "numpy", "trainbench")


@dataclass(frozen=True)
class Check:
    """The result of one check: what it found, and what to do if something does not work."""

    name: str
    state: State
    finding: str
    remedy: str | None = None


def python_checks(facts: _Facts) -> list[Check]:
    """Check the interpreter, and whether the packages are in a virtual environment."""
    version = f"{facts['python']['version']} ({facts['python']['kind']})"
    supported = (3, 11) <= sys.version_info[:2] <= (3, 13)
    isolated = sys.prefix != sys.base_prefix or "CONDA_PREFIX" in os.environ
    kind = "yes" if isolated else f"none, in a container ({facts['container']})"
    return [
        Check("Python", "ok", version)
        if supported
        else Check("Python", "broken", version, "use Python 3.11, 3.12 or 3.13"),
        Check("Virtual environment", "ok", kind)
        if isolated or facts["container"]
        else Check("Virtual environment", "missing", "none", "make install makes one in .venv"),
    ]


def variables_check(conflict: str | None) -> Check:
    """Report the ``conflict`` of a variable or a keras.json with suites, if there is one."""
    if conflict is None:
        return Check("Variables", "ok", "none that contradicts a suite")
    finding, _, remedy = conflict.rpartition(": ")
    return Check("Variables", "broken", finding, remedy)


def machine_checks(facts: _Facts) -> list[Check]:
    """Check the processor, the memory and the shared memory."""
    cpu, memory = facts["cpu"], facts["memory"]
    cores = f"{cpu['model'] or 'unknown'}, {cpu['usable_cores']} of {cpu['logical_cores']} cores"
    limit_bytes = memory["limit_bytes"] or memory["total_bytes"]
    note = " (the limit of the control group)" if memory["limit_bytes"] else ""
    size = _gb(min(limit_bytes, memory["total_bytes"]))
    text = f"{size}{note}, {_gb(memory['available_bytes'])} free"
    enough = min(limit_bytes, memory["available_bytes"]) >= _MIN_MEMORY_BYTES
    remedy = f"end other programs or raise the limit: training needs {_gb(_MIN_MEMORY_BYTES)}"
    return [
        Check("CPU", "ok", cores),
        Check("Memory", "ok", text) if enough else Check("Memory", "broken", text, remedy),
        *_shared_memory(memory["shared_bytes"]),
    ]


def tensorflow_checks(reply: _Facts, facts: _Facts) -> list[Check]:
    """Check TensorFlow's build, XLA and the strategies."""
    if reply["error"]:
        return [_tensorflow_failure(reply)]
    packages = facts["packages"]
    build = f"CUDA {reply['cuda']}, cuDNN {reply['cudnn']}" if reply["cuda_build"] else "CPU only"
    onednn = "on" if reply["onednn"] else "off"
    finding = f"{reply['tensorflow']}, Keras {reply['keras']} (build: {build}; oneDNN {onednn})"
    build_check = Check("TensorFlow", "ok", finding)
    if {"tensorflow", "tensorflow-cpu"} <= packages.keys():
        remedy = "pip uninstall tensorflow-cpu tensorflow, then make install"
        build_check = Check(
            "TensorFlow", "broken", f"{finding}, overwritten by tensorflow-cpu", remedy
        )
    elif reply["keras_backend"] != "tensorflow":
        finding = f"Keras runs on {reply['keras_backend']}, not on TensorFlow"
        build_check = Check("TensorFlow", "broken", finding, _BACKEND_REMEDY)
    return [build_check, _xla_check(reply), _strategy_check(reply)]


def _shared_memory(size_bytes: int | None) -> list[Check]:
    """Check /dev/shm, which Ray and NCCL use to share data; containers have 64 MB by default."""
    if size_bytes is None:
        return []
    finding = f"{_gb(size_bytes)} in /dev/shm"
    if size_bytes >= _MIN_SHARED_BYTES:
        return [Check("Shared memory", "ok", finding)]
    remedy = "start the container with --shm-size=8g, or give the pod a memory volume at /dev/shm"
    return [Check("Shared memory", "broken", finding, remedy)]


def data_check(files: Sequence[FileCheck], *, cache_writable: bool = True) -> Check:
    """Report the first folder that holds the whole data set, or what is wrong with its files."""
    folders: dict[str, list[FileCheck]] = {}
    for file in files:
        folders.setdefault(file.folder_name, []).append(file)
    for name, copies in folders.items():
        if all(file.ok for file in copies):
            return Check("Fashion-MNIST", "ok", f"{name}: {copies[0].path.parent}")
    damaged = [file for file in files if not file.ok and file.path.is_file()]
    if damaged:
        reasons = "; ".join(f"{file.path} {file.problem}" for file in damaged)
        return Check("Fashion-MNIST", "broken", reasons, "bench data fetch --force")
    remedy = "bench data fetch"
    if not cache_writable:
        remedy = f"name a writable folder in BENCH_CACHE_DIR, then {remedy}"
    return Check("Fashion-MNIST", "missing", "not in any of its folders", remedy)


def ray_check(reply: _Facts, address: str | None) -> Check:
    """Check that a run can start on Ray, and that its nodes can train and have equal versions."""
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
    finding = f"{where} works (nodes: {len(nodes)}, cores: {cores}, GPUs: {gpus})"
    # The GPUs of this machine have a check of their own.
    faults = {name: fault for name, n in nodes.items() if address and (fault := gpu_fault(n))}
    if faults:
        reasons = "; ".join(f"node {name}: {fault.problem}" for name, fault in faults.items())
        remedies = dict.fromkeys(fault.remedy for fault in faults.values())
        return Check("Ray", "broken", f"{finding}, but {reasons}", "; ".join(remedies))
    if differences := _version_differences(nodes):
        finding = f"{finding}, but versions differ: {'; '.join(differences)}"
        return Check("Ray", "broken", finding, "install the same versions on every node")
    return Check("Ray", "ok", finding)


def _version_differences(nodes: Mapping[str, _Facts]) -> list[str]:
    """Return the packages whose versions differ between nodes, with those versions."""
    return [
        f"{package} ({', '.join(versions)})"
        for package in _SAME_ON_ALL_NODES
        if len(versions := sorted({str(n["packages"].get(package)) for n in nodes.values()})) > 1
    ]


def disk_check(folder: str, free_bytes: int, writable: bool) -> Check:
    """Check that ``folder`` is writable and its disk has space for results."""
    finding = f"{_gb(free_bytes)} free in {folder}"
    if not writable:
        remedy = "make it writable, or use another folder (--out)"
        return Check("Results", "broken", f"{folder} cannot be written", remedy)
    if free_bytes < _MIN_DISK_BYTES:
        return Check(
            "Results", "broken", finding, "free space, or use a folder on another disk (--out)"
        )
    return Check("Results", "ok", finding)


def _tensorflow_failure(reply: _Facts) -> Check:
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
        return Check("TensorFlow", "broken", error, _BACKEND_REMEDY)
    if "No module named 'tensorflow'" in error or "No module named 'keras'" in error:
        return Check("TensorFlow", "missing", "not installed", _INSTALL)
    return Check("TensorFlow", "broken", error, f"reinstall it: {_INSTALL}")


def _xla_check(reply: _Facts) -> Check:
    if reply["xla"] is None:
        return Check("XLA", "ok", "compiles")
    remedy = (
        _WRONG_RESULT_REMEDY if _is_wrong(reply["xla"]) else f'use jit = "none", or {INSTALL_CUDA}'
    )
    return Check("XLA", "broken", reply["xla"], remedy)


def _strategy_check(reply: _Facts) -> Check:
    working = [name for name, reason in reply["strategies"].items() if reason is None]
    failing = {name: reason for name, reason in reply["strategies"].items() if reason}
    finding = f"{', '.join(working) or 'none'} work"
    if not failing:
        return Check("Strategies", "ok", finding)
    reasons = "; ".join(f"{name}: {reason}" for name, reason in failing.items())
    refused = [name for name, reason in failing.items() if not _is_wrong(reason)]
    remedies = [_WRONG_RESULT_REMEDY] if len(refused) < len(failing) else []
    if refused:
        remedies.append(f"do not use {', '.join(refused)} in suites, or {INSTALL_CUDA}")
    return Check("Strategies", "broken", f"{finding}; {reasons}", "; ".join(remedies))


def _is_wrong(reason: str) -> bool:
    """Return whether the probe's trial computed a wrong result."""
    return reason.startswith(ArithmeticError.__name__)


def _gb(count_bytes: int) -> str:
    return f"{count_bytes / 1e9:.1f} GB"
