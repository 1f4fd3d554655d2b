"""Whether TensorFlow or Keras refused a program, or code that they called is at fault.

Usage:
    with whole_tracebacks():
        try: ...
        except Exception as error:
            if is_refusal(error): ...

Told by the place where an exception was raised, and by its type. Both libraries leave their own
frames out of tracebacks, which here must show them. Only a broken installation of CUDA is told
by its words: TensorFlow reports it by the same types as what it cannot do.
"""

import contextlib
import traceback
from collections.abc import Iterator

import keras
import tensorflow as tf

_KINDS = (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError, RuntimeError)
"""As what TensorFlow and Keras say that they cannot do something; a mistake may be told so too."""

_WHO = ("tensorflow", "keras")

_BROKEN_CUDA = (
    # A library, or what XLA compiles with, is not there or does not load.
    *("could not load dynamic library", "dnn library is not found", "libdevice not found"),
    *("dnn library initialization failed", "cudnn library could not create a handle"),
    *("cudnn_status_not_initialized", "cublas_status_not_initialized"),
    *("the library was not initialized", "no ptx compilation provider is available"),
    *("failed to launch ptxas", "couldn't get ptxas"),
    # The driver does not run what was built, or XLA's compiler made for it.
    *("cuda_error_no_binary_for_gpu", "cuda_error_invalid_ptx", "cuda_error_invalid_image"),
    *("cuda_error_unsupported_ptx_version", "cuda_error_jit_compiler_not_found"),
    *("cuda_error_system_driver_mismatch", "no kernel image is available"),
    *("unsupported toolchain", "device kernel image is invalid", "driver version is insufficient"),
)
"""What is said of a broken installation, in lower case.

By TensorFlow and XLA: strings of TensorFlow 2.21's libraries, but for "DNN library is not found"
of earlier ones. By CUDA: names and texts of its errors (driver API, runtime API, cuBLAS, cuDNN).
"""


def is_refusal(error: BaseException) -> bool:
    """Whether ``error`` is TensorFlow's or Keras's own, and of a kind that refuses.

    One raised in a model, a feed or a library that these call is a fault of theirs, as is one
    that TensorFlow or Keras made of such, or of a broken installation.
    """
    return (
        isinstance(error, _KINDS)
        and all(_raised_in(link) in _WHO for link in chain(error))
        and not is_broken_installation(error)
    )


def is_broken_installation(error: BaseException) -> bool:
    """Whether TensorFlow failed for its CUDA libraries, their driver or what XLA compiles with."""
    return any(
        isinstance(link, tf.errors.OpError | RuntimeError)
        and any(phrase in str(link).lower() for phrase in _BROKEN_CUDA)
        for link in chain(error)
    )


def chain(error: BaseException) -> Iterator[BaseException]:
    """``error``, and what it came from."""
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__


def _raised_in(error: BaseException) -> str:
    """The package whose code raised ``error``."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    name: str = frames[-1].f_globals.get("__name__", "") if frames else ""
    return name.partition(".")[0]


@contextlib.contextmanager
def whole_tracebacks() -> Iterator[None]:
    """Have the frames of TensorFlow and Keras in tracebacks; what is hidden is so by thread."""
    tensorflow_left_out = tf.debugging.is_traceback_filtering_enabled()
    keras_left_out = keras.config.is_traceback_filtering_enabled()
    tf.debugging.disable_traceback_filtering()
    keras.config.disable_traceback_filtering()
    try:
        yield
    finally:
        if tensorflow_left_out:
            tf.debugging.enable_traceback_filtering()
        if keras_left_out:
            keras.config.enable_traceback_filtering()
