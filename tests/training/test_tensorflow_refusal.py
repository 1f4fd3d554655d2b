"""Refusals by TensorFlow and Keras are told apart from errors in code that they call."""

from collections.abc import Callable
from typing import Any

import keras
import pytest
import tensorflow as tf

from bench.training.exceptions import UnsupportedProgram
from bench.training.failures import classify_exception
from bench.training.tensorflow_refusal import full_tracebacks, is_broken_installation, is_refusal


class OddError(Exception):
    """Keras turns an exception whose constructor takes two arguments into a RuntimeError."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(one + other)


class Broken(keras.layers.Layer):  # type: ignore[misc]
    """A user's layer that raises."""

    def __init__(self, fault: Callable[[], Any]) -> None:
        super().__init__()
        self._fault = fault

    def call(self, inputs: Any) -> Any:
        """Raise."""
        self._fault()
        return inputs


def raised_by(function: Callable[[], Any]) -> Exception:
    with full_tracebacks(), pytest.raises(Exception) as caught:
        function()
    return caught.value


def runtime_error() -> None:
    raise RuntimeError("mine")


def odd_error() -> None:
    raise OddError("mine", "too")


def invalid_argument() -> None:
    raise tf.errors.InvalidArgumentError(None, None, "mine")


@pytest.mark.parametrize("fault", [runtime_error, odd_error, invalid_argument])
@pytest.mark.parametrize("autograph", [False, True])
def test_an_error_in_code_that_tensorflow_or_keras_call_is_no_refusal(
    fault: Callable[[], None], autograph: bool
) -> None:
    layer = Broken(tf.function(fault, autograph=autograph))
    compiled = tf.function(layer, autograph=False)
    assert not is_refusal(raised_by(fault))
    assert not is_refusal(raised_by(lambda: compiled(tf.zeros((1, 1)))))


def test_an_error_that_keras_converts_is_no_refusal() -> None:
    with pytest.raises(RuntimeError, match="mine") as caught:
        Broken(odd_error)(tf.zeros((1, 1)))
    assert not is_refusal(caught.value)


def test_an_error_raised_in_a_handler_is_no_refusal() -> None:
    def handle() -> None:
        try:
            tf.constant([1, 2]) @ tf.constant([1.0])
        except Exception:
            raise RuntimeError("mine") from None

    assert not is_refusal(raised_by(handle))


def compile_iterator() -> None:
    data = iter(tf.data.Dataset.range(3))
    tf.function(lambda: next(data), autograph=False, jit_compile=True)()


def test_an_error_that_tensorflow_itself_raises_is_a_refusal() -> None:
    assert is_refusal(raised_by(compile_iterator))


@pytest.mark.parametrize("error", [ValueError("mine"), MemoryError(), KeyError("mine")])
def test_an_error_of_another_kind_is_no_refusal(error: Exception) -> None:
    assert not is_refusal(error)


def test_traceback_filters_are_restored() -> None:
    def filters() -> tuple[bool, bool]:
        return (
            tf.debugging.is_traceback_filtering_enabled(),
            keras.config.is_traceback_filtering_enabled(),
        )

    assert filters() == (True, True)
    with full_tracebacks():
        assert filters() == (False, False)
        with full_tracebacks():
            pass
        assert filters() == (False, False)
    assert filters() == (True, True)


INSTALLATION = [
    tf.errors.InternalError(None, None, "libdevice not found at ./libdevice.10.bc"),
    tf.errors.UnimplementedError(None, None, "DNN library is not found."),
    tf.errors.FailedPreconditionError(None, None, "DNN library initialization failed. Look above"),
    tf.errors.InternalError(None, None, "'cuModuleLoadData' failed with 'CUDA_ERROR_INVALID_PTX'"),
    tf.errors.InvalidArgumentError(None, None, "no kernel image is available for execution"),
    tf.errors.NotFoundError(None, None, "No PTX compilation provider is available."),
    RuntimeError("Could not load dynamic library 'libcudnn.so.9'"),
]


@pytest.mark.parametrize("error", INSTALLATION, ids=str)
def test_a_broken_installation_fails_a_trial_and_is_no_refusal(error: Exception) -> None:
    assert is_broken_installation(error)
    assert not is_refusal(error)
    status, reason = classify_exception(error)
    assert status == "failed"
    assert reason.endswith("bench doctor reports")


def test_a_broken_installation_behind_a_refusal_is_a_failure() -> None:
    refusal = UnsupportedProgram("XLA compiles no such program")
    refusal.__cause__ = INSTALLATION[0]
    assert classify_exception(refusal)[0] == "failed"


@pytest.mark.parametrize(
    "error",
    [
        tf.errors.UnimplementedError(None, None, "no DNN kernel for float64 of this shape"),
        tf.errors.InvalidArgumentError(None, None, "XLA compiles no iterator"),
        ValueError("libdevice not found"),
    ],
)
def test_an_unsupported_operation_is_no_broken_installation(error: Exception) -> None:
    assert not is_broken_installation(error)


def test_a_library_that_cannot_start_for_lack_of_memory_is_out_of_memory() -> None:
    message = "out of memory: CUBLAS_STATUS_NOT_INITIALIZED"
    assert classify_exception(tf.errors.InternalError(None, None, message))[0] == "out_of_memory"
