"""What an exception in a trial means for its record.

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
from bench.training.refusals import is_broken_installation

_OUT_OF_MEMORY = ("out of memory", "oom when allocating", "resource_exhausted", "bad_alloc")
_HEADINGS = ("Graph execution", "Detected at", "Exception encountered", "<stack traces")
_KERAS_ARGUMENTS = "\n\nArguments received by "
"""What Keras adds to what a layer raises: a line for each tensor."""
_COLOUR = re.compile("\x1b\\[[0-9;]*m")
_MAX_REASON = 500


class UnsupportedProgram(Exception):  # noqa: N818 (it is an answer, not an error)
    """TensorFlow refused the program; the message is its reason."""


class WorkloadError(Exception):
    """A workload of the user's own that cannot be imported, or does not keep to its contract."""


def classify_exception(error: BaseException) -> tuple[Status, str]:
    """The status of a trial that ``error`` ended, and the reason in one line."""
    text = _COLOUR.sub("", str(error)).partition(_KERAS_ARGUMENTS)[0]
    said = _first_reason(text) if isinstance(error, tf.errors.OpError) else text
    reason = one_line(f"{type(error).__name__}: {said}")
    if isinstance(error, MemoryError | tf.errors.ResourceExhaustedError) or _says_memory(error):
        return "out_of_memory", reason
    if is_broken_installation(error):
        return "failed", f"{reason}: mend what bench doctor finds"
    if isinstance(error, UnsupportedProgram):
        return "unsupported", _first_reason(str(error))
    if isinstance(error, tf.errors.DataLossError):
        return "failed", f"{reason}: a file in {private_path(KIND)} is damaged: delete that folder"
    return "failed", reason


def one_line(text: str) -> str:
    """The first lines of ``text`` as one, of bounded length."""
    joined = " ".join(part.strip() for part in text.splitlines() if part.strip())
    return joined if len(joined) <= _MAX_REASON else joined[: _MAX_REASON - 1] + "…"


def _first_reason(text: str) -> str:
    """TensorFlow's reason, which it puts between headings and the stack of each operation."""
    lines = [line for line in _COLOUR.sub("", text).splitlines() if line.strip()]
    # What is indented are the places in the stack.
    reasons = [line for line in lines if not line.startswith((*_HEADINGS, " ", "\t"))]
    return one_line((reasons or [text])[0])


def _says_memory(error: BaseException) -> bool:
    # XLA reports memory it could not have as InternalError or InvalidArgumentError.
    text = str(error).lower()
    return isinstance(error, UnsupportedProgram | tf.errors.OpError) and any(
        phrase in text for phrase in _OUT_OF_MEMORY
    )
