"""Decide whether TensorFlow or Keras refused a program, or code that they called failed.

Usage:
    with full_tracebacks():
        try: ...
        except Exception as error:
            if is_refusal(error): ...

The decision depends on the type of an exception and on the package that raised it. Both libraries
hide their own frames in tracebacks by default; here they must be visible. Only a broken
installation of CUDA is recognized by its message: TensorFlow reports it with the same types as
an operation that it cannot do.
"""

import contextlib
import traceback
from collections.abc import Iterator

import keras
import tensorflow as tf

_REFUSALS = (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError, RuntimeError)
"""What TensorFlow and Keras raise for what they cannot do, and sometimes for a mistake."""

_LIBRARIES = ("tensorflow", "keras")

_BROKEN_CUDA = (
    # A library, or a tool that XLA compiles with, is missing or does not load.
    *("could not load dynamic library", "dnn library is not found", "libdevice not found"),
    *("dnn library initialization failed", "cudnn library could not create a handle"),
    *("cudnn_status_not_initialized", "cublas_status_not_initialized"),
    *("the library was not initialized", "no ptx compilation provider is available"),
    *("failed to launch ptxas", "couldn't get ptxas"),
    # The driver cannot run the built code, or the code that XLA compiled for it.
    *("cuda_error_no_binary_for_gpu", "cuda_error_invalid_ptx", "cuda_error_invalid_image"),
    *("cuda_error_unsupported_ptx_version", "cuda_error_jit_compiler_not_found"),
    *("cuda_error_system_driver_mismatch", "no kernel image is available"),
    *("unsupported toolchain", "device kernel image is invalid", "driver version is insufficient"),
)
"""Messages about a broken installation, in lower case.

TensorFlow's and XLA's are strings of TensorFlow 2.21's libraries, except "DNN library is not
found", which is from earlier ones. CUDA's are names and texts of its errors (driver API, runtime
API, cuBLAS, cuDNN).
"""


def is_refusal(error: BaseException) -> bool:
    """Return whether TensorFlow or Keras itself raised ``error`` as a refusal.

    An exception raised in a model, a feed or a library that they call is a failure, and so is
    one that they raise because of it or because of a broken installation.
    """
    return (
        isinstance(error, _REFUSALS)
        and all(_raised_in(link) in _LIBRARIES for link in chain(error))
        and not is_broken_installation(error)
    )


def is_broken_installation(error: BaseException) -> bool:
    """Return whether CUDA's libraries, the driver or XLA's compilers made TensorFlow fail."""
    return any(
        isinstance(link, tf.errors.OpError | RuntimeError)
        and any(phrase in str(link).lower() for phrase in _BROKEN_CUDA)
        for link in chain(error)
    )


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield ``error``, then each exception that caused the previous one."""
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__


def _raised_in(error: BaseException) -> str:
    """Return the top-level package whose code raised ``error``."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    name: str = frames[-1].f_globals.get("__name__", "") if frames else ""
    return name.partition(".")[0]


@contextlib.contextmanager
def full_tracebacks() -> Iterator[None]:
    """Keep the frames of TensorFlow and Keras in tracebacks of this thread."""
    tensorflow_filters = tf.debugging.is_traceback_filtering_enabled()
    keras_filters = keras.config.is_traceback_filtering_enabled()
    tf.debugging.disable_traceback_filtering()
    keras.config.disable_traceback_filtering()
    try:
        yield
    finally:
        if tensorflow_filters:
            tf.debugging.enable_traceback_filtering()
        if keras_filters:
            keras.config.enable_traceback_filtering()
