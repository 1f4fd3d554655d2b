"""Test in a separate process whether TensorFlow works on this machine.

    python -m bench.training.tensorflow_probe

The last line of output is JSON: TensorFlow's build, the devices that it sees, the loader's message
for each CUDA library that does not load, and for XLA and each strategy null or the reason why it
does not work. If TensorFlow cannot be imported, it has only "error".
"""

import json
import os
from collections.abc import Callable
from typing import Any

from bench.training.cuda.cuda_libraries import has_driver, load_failures
from bench.training.cuda.cuda_versions import ptxas_version

_LOGICAL_CPUS = 2


def probe() -> dict[str, Any]:
    """Return what TensorFlow is and can do here, as plain data."""
    # The GPUs may be in use: allocate only the memory that the probe needs.
    os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
    # A strategy would wait for the processes that TF_CONFIG names.
    os.environ.pop("TF_CONFIG", None)
    try:
        import keras
        import tensorflow as tf

        from bench.training.runtime import split_cpu
    except Exception as error:  # whatever a damaged installation raises
        return {"error": _one_line(error)}
    build = tf.sysconfig.get_build_info()
    gpus = tf.config.list_physical_devices("GPU")
    if len(gpus) < _LOGICAL_CPUS:
        split_cpu(_LOGICAL_CPUS)
    return {
        "error": None,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "keras_backend": keras.backend.backend(),
        "cuda_build": bool(build.get("is_cuda_build")),
        "cuda": build.get("cuda_version"),
        "cudnn": build.get("cudnn_version"),
        "compute_capabilities": build.get("cuda_compute_capabilities"),
        "cuda_failures": load_failures() if build.get("is_cuda_build") else {},
        "driver_library": has_driver(),
        "ptxas": ptxas_version() if gpus else None,
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1") != "0",
        "gpus": [_gpu(tf, device) for device in gpus],
        "devices": [device.name for device in tf.config.list_physical_devices()],
        "xla": _failure(_compiles, tf),
        "strategies": {
            "one_device": _failure(_trains, tf),
            "mirrored": _failure(_reduces, tf, len(gpus)),
            "multi_worker": _failure(tf.distribute.MultiWorkerMirroredStrategy),
        },
    }


def _gpu(tf: Any, device: Any) -> dict[str, Any]:
    details = tf.config.experimental.get_device_details(device)
    return {"device": device.name, "name": details.get("device_name")}


def _trains(tf: Any) -> None:
    """Compute a gradient on the device that a trial with one device would use."""
    with tf.GradientTape() as tape:
        x = tf.Variable([[2.0, 0.0], [0.0, 2.0]])
        loss = tf.reduce_sum(tf.matmul(x, x))
    _expect(float(tf.reduce_sum(tape.gradient(loss, x))), 16.0)


def _compiles(tf: Any) -> None:
    """Compile a sum with XLA."""

    @tf.function(jit_compile=True)  # type: ignore[untyped-decorator]
    def doubled(x: Any) -> Any:
        return tf.reduce_sum(x * 2.0)

    _expect(float(doubled(tf.ones([4]))), 8.0)


def _reduces(tf: Any, gpus: int) -> None:
    """Sum over all GPUs of this process, or over two logical CPUs."""
    kind, count = ("GPU", gpus) if gpus >= _LOGICAL_CPUS else ("CPU", _LOGICAL_CPUS)
    strategy = tf.distribute.MirroredStrategy([f"{kind}:{i}" for i in range(count)])

    @tf.function  # type: ignore[untyped-decorator]
    def total() -> Any:
        return strategy.run(
            lambda: tf.distribute.get_replica_context().all_reduce("sum", tf.constant(1.0))
        )

    _expect(float(strategy.experimental_local_results(total())[0]), float(count))


def _expect(result: float, expected: float) -> None:
    if result != expected:
        raise ArithmeticError(f"a result is {result}, not {expected}")


def _failure(check: Callable[..., Any], *arguments: Any) -> str | None:
    """Return None if ``check`` passes, else the reason in one line."""
    try:
        check(*arguments)
    except Exception as error:  # every failure is an answer here
        return _one_line(error)
    return None


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:300]


if __name__ == "__main__":
    print("\n" + json.dumps(probe()), flush=True)
