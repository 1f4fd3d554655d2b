"""Variables and files that would have trials train otherwise than their records say.

Usage:
    conflict_in(os.environ)        # "KERAS_BACKEND=jax, but trials train with TensorFlow: unset it"

Such a variable is refused, not overridden: whoever set it expects that it acts. A keras.json is
for all programs of its user: of it only what Keras cannot change later is refused.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench.files.reading import MiB, read_file

_MOST_BYTES = MiB
_BY_JIT = "jit says what XLA compiles"
_BY_PRECISION = "precision says how numbers are computed"
_BY_DETERMINISTIC = "deterministic says whether results repeat"
_BY_THREADS = "threads says how many a trial computes with"


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


def _is_false(value: str) -> bool:
    return value.lower() in ("0", "false")


_SWITCHES = {
    "xla_cpu_enable_fast_math": False,
    "xla_gpu_ftz": False,
    "xla_allow_excess_precision": True,
    "xla_cpu_multi_thread_eigen": True,
}
"""By switch of XLA that acts on arithmetic or threads: how it is where no flag names it."""


def _acts_on_arithmetic_or_threads(value: str) -> bool:
    """Whether flags of XLA turn one of its switches that act on these; the last of a kind holds."""
    found = dict(_SWITCHES)
    for flag in _flags(value):
        name, _, said = flag.removeprefix("--").partition("=")
        if name in found:
            found[name] = said.lower() in ("", "1", "true")
    return found != _SWITCHES


_CONFLICTS: dict[str, tuple[Callable[[str], bool], str]] = {
    "KERAS_BACKEND": (_is_another_backend, "trials train with TensorFlow"),
    "KERAS_NNX_ENABLED": (_is_true, "it is for JAX, and trials train with TensorFlow"),
    "TF_USE_LEGACY_KERAS": (_is_true, "trials train with Keras 3"),
    "TF_XLA_FLAGS": (_clusters, _BY_JIT),
    "TF_FUNCTION_JIT_COMPILE_DEFAULT": (_is_true, _BY_JIT),
    "XLA_FLAGS": (_acts_on_arithmetic_or_threads, f"{_BY_PRECISION}, and {_BY_THREADS}"),
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
"""By variable: the values that contradict what a record says of its trial, and why they do."""


def conflict_with_ray() -> str | None:
    """What of this Python keeps Ray from working, and what to change."""
    if sys.flags.optimize >= 2:
        return "Python drops docstrings, which Ray needs: unset PYTHONOPTIMIZE, leave out -OO"
    return None


def conflict_in(environ: Mapping[str, str]) -> str | None:
    """The first conflict that a process with ``environ`` would inherit, and what to change."""
    for name, (contradicts, reason) in _CONFLICTS.items():
        value = environ.get(name, "")
        if contradicts(value):
            return f"{name}={value}, but {reason}: unset it"
    return _conflict_of_keras_json(environ)


def _conflict_of_keras_json(environ: Mapping[str, str]) -> str | None:
    """Of what Keras reads as it is imported; the rest of that file is overridden in each trial."""
    # As Keras asks: without HOME, of the system's list of users.
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
    """As Keras has it: what names no known user's home folder stays."""
    return os.path.expanduser(path)  # noqa: PTH111 - Path raises there


def _read_json(path: Path) -> dict[str, Any]:
    """An object from a file; an empty one where it cannot be read, as Keras has it."""
    try:
        found = json.loads(read_file(path, _MOST_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _flags(value: str) -> list[str]:
    """The flags in a variable, or in the file that it names, as XLA reads them."""
    if value and not value.startswith("--"):
        try:
            value = read_file(value, _MOST_BYTES).decode()
        except (OSError, ValueError):  # a trial's own failure, which names the variable
            return []
    return value.split()
