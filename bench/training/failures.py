"""Classify an exception in a trial: the status of its record, and the reason.

Usage:
    try: ...
    except Exception as error:
        status, reason = classify_exception(error)
"""

import re

import tensorflow as tf

from bench.files.private_folder import private_path
from bench.records.trial_record import Status
from bench.training.data.tfrecord_shards import KIND
from bench.training.exceptions import UnsupportedProgram
from bench.training.tensorflow_refusal import is_broken_installation

_OUT_OF_MEMORY = ("out of memory", "oom when allocating", "resource_exhausted", "bad_alloc")
_HEADINGS = ("Graph execution", "Detected at", "Exception encountered", "<stack traces")
_KERAS_ARGUMENTS = "\n\nArguments received by "
"""Where Keras appends a line for each tensor to a layer's error."""
_COLOUR = re.compile("\x1b\\[[0-9;]*m")
_MAX_REASON = 500


def classify_exception(error: BaseException) -> tuple[Status, str]:
    """Return the status of a trial that ``error`` ended, and the reason in one line."""
    text = _COLOUR.sub("", str(error)).partition(_KERAS_ARGUMENTS)[0]
    message = _first_reason(text) if isinstance(error, tf.errors.OpError) else text
    reason = one_line(f"{type(error).__name__}: {message}")
    if isinstance(error, MemoryError | tf.errors.ResourceExhaustedError) or _mentions_memory(error):
        return "out_of_memory", reason
    if is_broken_installation(error):
        return "failed", f"{reason}: fix what bench doctor reports"
    if isinstance(error, UnsupportedProgram):
        return "unsupported", _first_reason(str(error))
    if isinstance(error, tf.errors.DataLossError):
        return "failed", f"{reason}: a file in {private_path(KIND)} is damaged: delete that folder"
    return "failed", reason


def one_line(text: str) -> str:
    """Join the lines of ``text`` into one, of limited length."""
    joined = " ".join(line.strip() for line in text.splitlines() if line.strip())
    return joined if len(joined) <= _MAX_REASON else joined[: _MAX_REASON - 1] + "…"


def _first_reason(text: str) -> str:
    """Return TensorFlow's reason, without its headings and the stack of each operation."""
    lines = [line for line in _COLOUR.sub("", text).splitlines() if line.strip()]
    # Indented lines are stack frames.
    reasons = [line for line in lines if not line.startswith((*_HEADINGS, " ", "\t"))]
    return one_line((reasons or [text])[0])


def _mentions_memory(error: BaseException) -> bool:
    # XLA reports a failed allocation as InternalError or InvalidArgumentError.
    text = str(error).lower()
    return isinstance(error, UnsupportedProgram | tf.errors.OpError) and any(
        phrase in text for phrase in _OUT_OF_MEMORY
    )
