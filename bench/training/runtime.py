"""Set and read the process-wide settings of TensorFlow and Keras.

Usage:
    configure(variant, threads=2)      # before anything else uses TensorFlow
    resolved = describe(variant)
    before = current_settings()
    ...                                # code of the user's runs
    check_unchanged(before, workload)
"""

import platform
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.config import is_op_determinism_enabled
from tensorflow.python.util._pywrap_util_port import IsMklEnabled

from bench.errors import ResourceError, UsageError
from bench.spec.variant import Variant
from bench.training.model.precision import PRECISIONS

_PLAIN = (bool, str, list)


def configure(variant: Variant, threads: int) -> None:
    """Set threads, TF32, determinism and Keras's defaults; ``threads`` limits the cores.

    keras.json has no effect. ResourceError as in ``set_threads``.
    """
    set_threads(threads)
    has_replicas = variant.strategy == "mirrored" and variant.replicas > 1
    if has_replicas and not tf.config.list_physical_devices("GPU"):
        split_cpu(variant.replicas)
    tf.config.experimental.enable_tensor_float_32_execution(PRECISIONS[variant.precision].tf32)
    if variant.deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_dtype_policy("float32")


def set_threads(threads: int) -> None:
    """Make TensorFlow use ``threads`` threads within an operation and between operations.

    TensorFlow fixes both numbers once it has run an operation: ResourceError if they differ.
    """
    pools = tf.config.threading
    try:
        pools.set_intra_op_parallelism_threads(threads)
        pools.set_inter_op_parallelism_threads(threads)
    except RuntimeError:
        within = pools.get_intra_op_parallelism_threads() or "all"
        between = pools.get_inter_op_parallelism_threads() or "all"
        raise ResourceError(
            f"TensorFlow already runs in this process with {within} threads within an operation "
            f"and {between} between them, and a trial needs {threads}: use executor ray, or "
            "start a fresh process"
        ) from None


def current_settings() -> dict[str, Any]:
    """Return the process-wide settings, each by the axis that controls it or by Keras's name."""
    return {
        "precision": tf.config.experimental.tensor_float_32_execution_enabled(),
        "deterministic": is_op_determinism_enabled(),
        "jit": (tf.config.optimizer.get_jit(), tf.config.functions_run_eagerly()),
        **keras_settings(),
    }


def check_unchanged(before: dict[str, Any], workload: str) -> None:
    """Raise UsageError if ``current_settings`` differ from ``before``.

    The module of a user's ``workload`` may change them when it is imported.
    """
    for name, value in current_settings().items():
        if value == before[name]:
            continue
        if name in keras_settings():
            raise UsageError(
                f"workload {workload} changes Keras's {name} from {before[name]!r} to {value!r}, "
                "for the package's own layers as well: leave keras.config alone in its module, "
                "and pass what its layers need to each of them"
            )
        raise UsageError(
            f"workload {workload} changes settings of TensorFlow that {name} controls: "
            f"leave tf.config alone in its module, and set {name} in the suite"
        )


def check_gpus(assigned: Sequence[str]) -> None:
    """Raise ResourceError if TensorFlow sees fewer GPUs than were ``assigned`` to this process.

    TensorFlow would train on the CPU without a warning.
    """
    visible = len(tf.config.list_physical_devices("GPU"))
    if visible < len(assigned):
        raise ResourceError(
            f"this process was assigned GPU {', '.join(assigned)}, but TensorFlow sees "
            f"{visible or 'none'}: install trainbench[gpu] and run bench doctor, or set "
            "CUDA_VISIBLE_DEVICES=-1 to train on the CPU"
        )


def split_cpu(count: int) -> None:
    """Make ``count`` logical devices of the CPU, one per replica."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    logical = [tf.config.LogicalDeviceConfiguration() for _ in range(count)]
    tf.config.set_logical_device_configuration(cpu, logical)


def describe(variant: Variant) -> dict[str, Any]:
    """Return the settings in effect as plain data: threads, dtypes, XLA, TensorFlow's build."""
    kind = PRECISIONS[variant.precision]
    build = tf.sysconfig.get_build_info()
    return {
        "intra_op_threads": tf.config.threading.get_intra_op_parallelism_threads(),
        "inter_op_threads": tf.config.threading.get_inter_op_parallelism_threads(),
        "xla": variant.jit != "none",
        "jit": variant.jit,
        "policy": kind.policy,
        "tf32": tf.config.experimental.tensor_float_32_execution_enabled() and bool(_gpus()),
        "deterministic": is_op_determinism_enabled(),
        "onednn": bool(IsMklEnabled()),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "build": {key: value for key, value in build.items() if isinstance(value, _PLAIN)},
        "per_replica_batch_size": variant.per_replica_batch_size,
    }


def keras_settings() -> dict[str, Any]:
    """Return Keras's defaults for new layers as plain data.

    The dtype policy is not among them: in a user's workload it follows from the precision.
    """
    return {
        "image_data_format": keras.config.image_data_format(),
        "floatx": keras.config.floatx(),
        "epsilon": keras.config.epsilon(),
    }


def device_names() -> tuple[str, ...]:
    """Return the devices that training uses: the GPUs if there are any, else the CPUs."""
    devices = _gpus() or tf.config.list_logical_devices("CPU")
    return tuple(device.name.removeprefix("/device:") for device in devices)


def take_peak_device_memory_bytes() -> int | None:
    """Return the peak of tensor memory on any of this process's GPUs, and reset it.

    The peak covers the time since the last call, or since the start. None on a CPU.
    """
    names = [f"GPU:{i}" for i in range(len(tf.config.get_visible_devices("GPU")))]
    peaks = [int(tf.config.experimental.get_memory_info(name)["peak"]) for name in names]
    for name in names:
        tf.config.experimental.reset_memory_stats(name)
    return max(peaks, default=None)


def _gpus() -> list[Any]:
    return list(tf.config.list_logical_devices("GPU"))
