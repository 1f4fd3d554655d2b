"""Whether TensorFlow or Keras refused a program, or code that they called is at fault.

Usage:
    with whole_tracebacks():
        try: ...
        except Exception as error:
            if is_refusal(error): ...

Told by the place where an exception was raised, and by its type; never by its words. Both
libraries leave their own frames out of tracebacks, which here must show them.
"""

import contextlib
import traceback
from collections.abc import Iterator

import keras
import tensorflow as tf

_KINDS = (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError, RuntimeError)
"""As what TensorFlow and Keras say that they cannot do something; a mistake may be told so too."""

_WHO = ("tensorflow", "keras")


def is_refusal(error: BaseException) -> bool:
    """Whether ``error`` is TensorFlow's or Keras's own, and of a kind that refuses.

    One raised in a model, a feed or a library that these call is a fault of theirs, as is one
    that TensorFlow or Keras made of such.
    """
    return isinstance(error, _KINDS) and all(_raised_in(link) in _WHO for link in _chain(error))


def _chain(error: BaseException) -> Iterator[BaseException]:
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
