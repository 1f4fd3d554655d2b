"""Floating-point operations of one training step, counted on its graph, not timed."""

import contextlib
import io
from typing import Any

import tensorflow as tf


def flops_of(step: Any) -> int | None:
    """Multiplications and additions of ``step``, a concrete function; None where unknown.

    TensorFlow's profiler counts a loop's body once and does not look into nested functions:
    ``step`` must have neither.
    """
    builder = tf.compat.v1.profiler.ProfileOptionBuilder
    options = builder(builder.float_operation()).with_empty_output().build()
    # The profiler prints a header even with empty output.
    with contextlib.redirect_stdout(io.StringIO()):
        profile = tf.compat.v1.profiler.profile(graph=step.graph, options=options)
    return int(profile.total_float_ops) or None
