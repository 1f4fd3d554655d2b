"""What a training step computes, read from its graph: its operations, whether it convolves."""

import contextlib
import io
import itertools
from typing import Any

import tensorflow as tf

_CONVOLUTIONS = ("Conv", "DepthwiseConv")
"""How the names of TensorFlow's operations begin, backward passes included."""


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


def has_convolutions(step: Any) -> bool:
    """Whether ``step``, a concrete function, or a function that it calls, convolves."""
    graph = step.graph.as_graph_def()
    nodes = itertools.chain(graph.node, *(called.node_def for called in graph.library.function))
    return any(node.op.startswith(_CONVOLUTIONS) for node in nodes)
