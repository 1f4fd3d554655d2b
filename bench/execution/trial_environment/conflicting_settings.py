"""Find variables and files that would make trials train differently from what records say.

Usage:
    conflicting_setting(os.environ)  # "KERAS_BACKEND=jax, but trials use TensorFlow: unset it"

Such a variable is refused, not overridden, because its user expects it to take effect. A
keras.json applies to all of its user's programs, so only what Keras cannot change later is refused.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench.files.bounded_reading import MiB, read_file

_MAX_BYTES = MiB
_BY_JIT = "jit sets what XLA compiles"
_BY_PRECISION = "precision sets how numbers are computed"
_BY_DETERMINISTIC = "deterministic sets whether results repeat"
_BY_THREADS = "threads sets how many threads a trial uses"


def _is_true(value: str) -> bool:
    return value.lower() in ("1", "true")


def _is_set(value: str) -> bool:
    return bool(value)


def _is_another_backend(value: str) -> bool:
    return value not in ("", "tensorflow")


def _relaxes_float32(value: str) -> bool:
    return value.upper() not in ("", "STRICT")


def _enables_auto_clustering(value: str) -> bool:
    """Return whether XLA's flags compile what ``jit`` does not request; the last flag counts."""
    name = "--tf_xla_auto_jit="
    levels = [f.removeprefix(name) for f in _flags(value) if f.startswith(name)]
    return bool(levels) and levels[-1] not in ("0", "-1")


def _is_false(value: str) -> bool:
    return value.lower() in ("0", "false")


_SWITCHES = {
    "xla_cpu_enable_fast_math": False,
    "xla_gpu_ftz": False,
    "xla_allow_excess_precision": True,
    "xla_cpu_multi_thread_eigen": True,
}
"""Default values of the XLA switches that affect arithmetic or threads."""


def _changes_switches(value: str) -> bool:
    """Return whether XLA's flags change one of ``_SWITCHES``; the last flag of each counts."""
    switches = dict(_SWITCHES)
    for flag in _flags(value):
        name, _, setting = flag.removeprefix("--").partition("=")
        if name in switches:
            switches[name] = setting.lower() in ("", "1", "true")
    return switches != _SWITCHES


_CONFLICTS: dict[str, tuple[Callable[[str], bool], str]] = {
    "KERAS_BACKEND": (_is_another_backend, "trials train with TensorFlow"),
    "KERAS_NNX_ENABLED": (_is_true, "it is for JAX, and trials train with TensorFlow"),
    "TF_USE_LEGACY_KERAS": (_is_true, "trials train with Keras 3"),
    "TF_XLA_FLAGS": (_enables_auto_clustering, _BY_JIT),
    "TF_FUNCTION_JIT_COMPILE_DEFAULT": (_is_true, _BY_JIT),
    "XLA_FLAGS": (_changes_switches, f"{_BY_PRECISION}, and {_BY_THREADS}"),
    "TF_OVERRIDE_GLOBAL_THREADPOOL": (_is_true, _BY_THREADS),
    "OMP_THREAD_LIMIT": (_is_set, _BY_THREADS),
    "TF_DETERMINISTIC_OPS": (_is_true, _BY_DETERMINISTIC),
    "TF_CUDNN_DETERMINISTIC": (_is_true, _BY_DETERMINISTIC),
    "NVIDIA_TF32_OVERRIDE": (_is_set, _BY_PRECISION),
    "TF_ENABLE_AUTO_MIXED_PRECISION": (_is_true, _BY_PRECISION),
    "TF_CONV2D_USE_FP16_ACCUMULATE": (_is_true, _BY_PRECISION),
    "TF_FP16_CONV_USE_FP32_COMPUTE": (_is_false, _BY_PRECISION),
    "TF_FP16_MATMUL_USE_FP32_COMPUTE": (_is_false, _BY_PRECISION),
    "TF_FP16_RNN_USE_FP32_COMPUTE": (_is_false, _BY_PRECISION),
    "TF_SET_ONEDNN_FPMATH_MODE": (_relaxes_float32, _BY_PRECISION),
}
"""By variable: which values contradict what a record says of its trial, and why."""


def python_conflict() -> str | None:
    """Return why Ray cannot work with this Python, and what to change."""
    if sys.flags.optimize >= 2:
        return "Python drops docstrings, which Ray needs: unset PYTHONOPTIMIZE and omit -OO"
    return None


def conflicting_setting(environ: Mapping[str, str]) -> str | None:
    """Return the first conflict that a process with ``environ`` would inherit, and its remedy."""
    for name, (contradicts, reason) in _CONFLICTS.items():
        value = environ.get(name, "")
        if contradicts(value):
            return f"{name}={value}, but {reason}: unset it"
    return _keras_json_conflict(environ)


def _keras_json_conflict(environ: Mapping[str, str]) -> str | None:
    """Find a conflict in what Keras reads at import; each trial overrides the rest of the file."""
    # Like Keras: without HOME, take the home folder from the system's list of users.
    home = (environ["HOME"] or "/") if "HOME" in environ else _expanded("~")
    folder = Path(home if os.access(home, os.W_OK) else "/tmp", ".keras")
    path = Path(_expanded(str(Path(environ.get("KERAS_HOME", folder), "keras.json"))))
    settings = _read_json(path)
    backend = settings.get("backend", "tensorflow")
    if backend != "tensorflow" and not environ.get("KERAS_BACKEND"):
        return f"{path} names the backend {backend!r}: correct it, or set KERAS_BACKEND=tensorflow"
    if settings.get("nnx_enabled") and "KERAS_NNX_ENABLED" not in environ:
        return f"{path} enables nnx, which is for JAX: correct it, or set KERAS_NNX_ENABLED=0"
    return None


def _expanded(path: str) -> str:
    """Expand a home folder like Keras, which leaves the path of an unknown user unchanged."""
    return os.path.expanduser(path)  # noqa: PTH111 - Path raises there


def _read_json(path: Path) -> dict[str, Any]:
    """Read an object from a JSON file; like Keras, return an empty one if it cannot be read."""
    try:
        content = json.loads(read_file(path, _MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _flags(value: str) -> list[str]:
    """Return the flags in a variable, or in the file that it names, as XLA reads them."""
    if value and not value.startswith("--"):
        try:
            value = read_file(value, _MAX_BYTES).decode()
        except (OSError, ValueError):  # each trial fails with an error that names the variable
            return []
    return value.split()
