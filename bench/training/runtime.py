"""The process-wide settings of TensorFlow and Keras, and what they made of them.

Usage:
    configure(variant, threads=2)      # before anything else touches TensorFlow
    resolved = describe(variant)
    check_kept(before, workload)       # once code of the user's has run
"""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from tensorflow.python.framework.config import is_op_determinism_enabled
from tensorflow.python.util._pywrap_util_port import IsMklEnabled

from bench.errors import ResourceError, UsageError
from bench.spec.variant import Variant
from bench.training.precision import PRECISIONS

_PLAIN = (bool, str, list)


def configure(variant: Variant, threads: int) -> None:
    """Set threads, TF32, determinism, Keras; ``threads`` is how many cores a trial may use.

    Keras gets its defaults, whatever its keras.json says. Errors of ``set_threads``.
    """
    set_threads(threads)
    if variant.strategy == "mirrored" and variant.replicas > 1:
        _split_cpu(variant.replicas)
    tf.config.experimental.enable_tensor_float_32_execution(PRECISIONS[variant.precision].tf32)
    if variant.deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_dtype_policy("float32")


def set_threads(threads: int) -> None:
    """Have TensorFlow compute with as many threads, within an operation and between them.

    They cannot change once TensorFlow has run something: ResourceError where it has, with others.
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
            f"and {between} between them, and a trial is to have {threads}: use executor ray, or "
            "start a fresh process"
        ) from None


def settings_in_force() -> dict[str, Any]:
    """What acts on all that is computed here, by the axis that stands for it or Keras's name."""
    return {
        "precision": tf.config.experimental.tensor_float_32_execution_enabled(),
        "deterministic": is_op_determinism_enabled(),
        "jit": (tf.config.optimizer.get_jit(), tf.config.functions_run_eagerly()),
        **keras_settings(),
    }


def check_kept(before: dict[str, Any], workload: str) -> None:
    """Raise UsageError where ``settings_in_force`` are not as ``before``.

    The module of a ``workload`` of the user's may have changed them as it was imported.
    """
    for name, value in settings_in_force().items():
        if value == before[name]:
            continue
        if name in keras_settings():
            raise UsageError(
                f"workload {workload} changes Keras's {name} from {before[name]!r} to {value!r}, "
                "for the package's own layers as well: leave keras.config alone in its module, "
                "and pass what its layers need to each of them"
            )
        raise UsageError(
            f"workload {workload} changes settings of TensorFlow that {name} stands for: "
            f"leave tf.config alone in its module, and set {name} in the suite"
        )


def check_gpus(given: Sequence[str]) -> None:
    """Raise ResourceError where TensorFlow sees fewer GPUs than this process was ``given``.

    It would train on the CPU without a word.
    """
    seen = len(tf.config.list_physical_devices("GPU"))
    if seen < len(given):
        raise ResourceError(
            f"GPU {', '.join(given)} was given, but this TensorFlow sees {seen or 'none'}: "
            "install trainbench[gpu], and look at bench doctor, or set CUDA_VISIBLE_DEVICES=-1 to "
            "train on the CPU"
        )


def _split_cpu(parts: int) -> None:
    """Where there is no GPU, logical CPU devices stand for as many replicas."""
    if not tf.config.list_physical_devices("GPU"):
        cpu = tf.config.list_physical_devices("CPU")[0]
        split = [tf.config.LogicalDeviceConfiguration() for _ in range(parts)]
        tf.config.set_logical_device_configuration(cpu, split)


def describe(variant: Variant) -> dict[str, Any]:
    """What holds in the end, in plain data: threads, dtypes, XLA, TensorFlow's build."""
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
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "build": {key: value for key, value in build.items() if isinstance(value, _PLAIN)},
        "per_replica_batch_size": variant.per_replica_batch_size,
    }


def keras_settings() -> dict[str, Any]:
    """Keras's defaults for layers that are made without them, in plain data.

    But for their dtype: that of layers in a workload of one's own follows from the precision.
    """
    return {
        "image_data_format": keras.config.image_data_format(),
        "floatx": keras.config.floatx(),
        "epsilon": keras.config.epsilon(),
    }


def device_names() -> tuple[str, ...]:
    """The devices that training uses: the GPUs where there are any, else the CPU."""
    used = _gpus() or tf.config.list_logical_devices("CPU")
    return tuple(device.name.removeprefix("/device:") for device in used)


def take_peak_device_memory_bytes() -> int | None:
    """The most that tensors took of one of this process's GPUs since the last call, or the start.

    None on a CPU.
    """
    own = [f"GPU:{i}" for i in range(len(tf.config.get_visible_devices("GPU")))]
    taken = [int(tf.config.experimental.get_memory_info(name)["peak"]) for name in own]
    for name in own:
        tf.config.experimental.reset_memory_stats(name)
    return max(taken, default=None)


def _gpus() -> list[Any]:
    return list(tf.config.list_logical_devices("GPU"))
