"""What trials inherit from their node that would have them train otherwise than a suite says.

Usage:
    check_conflicts(inherited_here())               # ResourceError that names the variable
    check_inherited(blocks, cluster, {node: inherited_here()})

A variable that a trial would override is refused, not ignored: whoever set it expects that it acts.
"""

import json
import os
import socket
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import ResourceError
from bench.execution.cluster import Cluster
from bench.execution.reservation import Reservation
from bench.measure.host import usable_cores
from bench.spec.plan import Block
from bench.spec.variant import Variant

THREAD_VARIABLES = (
    *("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"),
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS"),
)
"""How many threads TensorFlow and the libraries below it compute with."""

_BY_JIT = "jit says what XLA compiles"
_BY_PRECISION = "precision says how numbers are computed"
_BY_DETERMINISTIC = "deterministic says whether results repeat"


def _is_true(value: str) -> bool:
    return value.lower() in ("1", "true")


def _is_set(value: str) -> bool:
    return bool(value)


def _is_another_backend(value: str) -> bool:
    return value not in ("", "tensorflow")


def _relaxes_float32(value: str) -> bool:
    return value.upper() not in ("", "STRICT")


def _clusters(value: str) -> bool:
    """Whether flags of XLA have it compile what no ``jit`` asks for; the last of a kind holds."""
    name = "--tf_xla_auto_jit="
    levels = [f.removeprefix(name) for f in _flags(value) if f.startswith(name)]
    return bool(levels) and levels[-1] not in ("0", "-1")


_CONFLICTS: dict[str, tuple[Callable[[str], bool], str]] = {
    "KERAS_BACKEND": (_is_another_backend, "trials train with TensorFlow"),
    "KERAS_NNX_ENABLED": (_is_true, "it is for JAX, and trials train with TensorFlow"),
    "TF_USE_LEGACY_KERAS": (_is_true, "trials train with Keras 3"),
    "TF_XLA_FLAGS": (_clusters, _BY_JIT),
    "TF_FUNCTION_JIT_COMPILE_DEFAULT": (_is_true, _BY_JIT),
    "TF_DETERMINISTIC_OPS": (_is_true, _BY_DETERMINISTIC),
    "TF_CUDNN_DETERMINISTIC": (_is_true, _BY_DETERMINISTIC),
    "NVIDIA_TF32_OVERRIDE": (_is_set, _BY_PRECISION),
    "TF_ENABLE_AUTO_MIXED_PRECISION": (_is_true, _BY_PRECISION),
    "TF_SET_ONEDNN_FPMATH_MODE": (_relaxes_float32, _BY_PRECISION),
    "ONEDNN_DEFAULT_FPMATH_MODE": (_relaxes_float32, _BY_PRECISION),
    "DNNL_DEFAULT_FPMATH_MODE": (_relaxes_float32, _BY_PRECISION),
}
"""By variable: the values that contradict what a record says of its trial, and why they do."""


@dataclass(frozen=True)
class Inherited:
    """What the trials of a node start with."""

    host: str
    conflict: str | None
    """What trials cannot heed, and what to change; None where there is no such thing."""
    threads: Mapping[str, str]
    """The variables of ``THREAD_VARIABLES`` that are set."""
    usable_cores: int


def inherited_here(environ: Mapping[str, str] = os.environ) -> Inherited:
    """What a process with ``environ`` inherits on this machine."""
    threads = {name: environ[name] for name in THREAD_VARIABLES if environ.get(name)}
    return Inherited(socket.gethostname(), _conflict(environ), threads, usable_cores())


def inherited_by_workers() -> Inherited:
    """What this node's trials inherit, asked in a worker of Ray's.

    Of its parent, which has started it: Ray sets OMP_NUM_THREADS in a worker where it is not set.
    """
    try:
        entries = Path(f"/proc/{os.getppid()}/environ").read_bytes().split(b"\0")
    except OSError:
        return inherited_here({k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"})
    pairs = (os.fsdecode(entry).partition("=") for entry in entries)
    return inherited_here({name: value for name, _, value in pairs})


def check_conflicts(found: Inherited) -> None:
    """ResourceError where trials on a node inherit what they cannot heed."""
    if found.conflict:
        raise ResourceError(f"node {found.host}: {found.conflict}")


def check_inherited(
    blocks: Iterable[Block], cluster: Cluster, found: Mapping[str, Inherited]
) -> None:
    """ResourceError where trials cannot train as the suite says with what is ``found`` on nodes.

    By Ray's id of a node. That is where a variable contradicts the suite, where there are fewer
    cores than ``threads``, and where a variable asks for other threads than a silent suite gives.
    """
    for inherited in found.values():
        check_conflicts(inherited)
    repeated = {frozenset(t.variant_id for t in block.trials): block for block in blocks}
    for block in repeated.values():
        variants = [trial.variant for trial in block.trials]
        asked = any(variant.threads is not None for variant in variants)
        for node, inherited in found.items():
            if asked or inherited.threads:
                reservation = cluster.reserve(block, [node])
                for variant in variants:
                    _check_threads_of(variant, reservation, inherited)


def _check_threads_of(variant: Variant, reservation: Reservation, inherited: Inherited) -> None:
    share, where = reservation.share_of(variant), f"on node {inherited.host}"
    if variant.threads is None:
        check_thread_variables(inherited, share)
        return
    workers = max(1, round(reservation.bundles[0]["CPU"] / reservation.needs(variant)["CPU"]))
    cores = min(share, inherited.usable_cores // workers)
    if variant.threads > cores:
        raise ResourceError(
            f"threads {variant.threads} is more than the {cores} cores that a worker has {where}: "
            "lower threads or workers"
        )


def check_thread_variables(inherited: Inherited, threads: int) -> None:
    """ResourceError where a variable asks for other than the ``threads`` that a trial has."""
    for name, value in inherited.threads.items():
        if value not in ("0", str(threads)):
            raise ResourceError(
                f"{name}={value} on node {inherited.host}, but a trial there computes with "
                f"{threads} threads: unset it, or set threads in the suite"
            )


def _conflict(environ: Mapping[str, str]) -> str | None:
    if sys.flags.optimize >= 2:
        return "Python drops docstrings, which Ray needs: unset PYTHONOPTIMIZE, leave out -OO"
    for name, (contradicts, reason) in _CONFLICTS.items():
        value = environ.get(name, "")
        if contradicts(value):
            return f"{name}={value}, but {reason}: unset it"
    return _conflict_of_keras_json(environ)


def _conflict_of_keras_json(environ: Mapping[str, str]) -> str | None:
    """Of what Keras reads as it is imported; the rest of that file is overridden in each trial."""
    home = environ.get("HOME", "")
    folder = Path(home if os.access(home, os.W_OK) else "/tmp", ".keras")
    path = Path(environ.get("KERAS_HOME", folder), "keras.json").expanduser()
    settings = _read_json(path)
    backend = settings.get("backend", "tensorflow")
    if backend != "tensorflow" and not environ.get("KERAS_BACKEND"):
        return f"{path} names the backend {backend!r}: correct it, or set KERAS_BACKEND=tensorflow"
    if settings.get("nnx_enabled") and "KERAS_NNX_ENABLED" not in environ:
        return f"{path} enables nnx, which is for JAX: correct it, or set KERAS_NNX_ENABLED=0"
    return None


def _read_json(path: Path) -> dict[str, Any]:
    """An object from a file; an empty one where it cannot be read, as Keras has it."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _flags(value: str) -> list[str]:
    """The flags in a variable, or in the file that it names, as XLA reads them."""
    if value and not value.startswith("--"):
        try:
            value = Path(value).read_text(encoding="utf-8")
        except (OSError, ValueError):  # a trial's own failure, which names the variable
            return []
    return value.split()
