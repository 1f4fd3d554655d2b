"""Count the floating-point operations of a training step's graph, and find convolutions in it."""

import contextlib
import io
import itertools
import re
from typing import Any

import tensorflow as tf

_CONVOLUTIONS = ("Conv", "DepthwiseConv")
"""Prefixes of the names of TensorFlow's convolutions, backward passes included."""

_V1_CONTROL_FLOW = frozenset(
    {"Enter", "Exit", "LoopCond", "Merge", "NextIteration", "Switch"}
    | {"RefEnter", "RefExit", "RefMerge", "RefNextIteration", "RefSwitch"}
)
_OPAQUE = frozenset({"EagerPyFunc", "PyFunc", "PyFuncStateless"})
"""Operations that run Python code, which a graph does not describe."""

_COUNTED = frozenset(
    {"BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "MatMul"}
    | {"Conv2D", "Conv2DBackpropFilter", "Conv2DBackpropInput", "Conv3D", "DepthwiseConv2dNative"}
    | {"Dilation2D"}
)
"""Products and convolutions that TensorFlow 2.21's profiler has a formula for."""
_PRODUCT = re.compile(
    "MatMul|Conv|Einsum|RNN|LSTM|GRU|FFT|Dilation2D|Erosion2D|CTCLoss|Solve"
    "|Cholesky|Eig|^Lu$|^Qr$|^Svd$|Matrix(Determinant|Exponential|Inverse|Logarithm|SquareRoot)"
    "|UniformQuantizedDot"
)
"""Operations whose work exceeds the size of their tensors; all others do little in comparison."""


def flops_of(step: Any) -> int | None:
    """Return the multiplications and additions of ``step``, a concrete function, or None.

    TensorFlow's profiler counts a loop's body once or not at all, ignores branches and nested
    functions, and skips operations without a formula or of unknown shape. If such an operation may
    do much of the work, the count would be incomplete, and the result is None.
    """
    if not all(map(_is_countable, step.graph.get_operations())):
        return None
    builder = tf.compat.v1.profiler.ProfileOptionBuilder
    options = builder(builder.float_operation()).with_empty_output().build()
    # The profiler prints a header even with empty output.
    with contextlib.redirect_stdout(io.StringIO()):
        profile = tf.compat.v1.profiler.profile(graph=step.graph, options=options)
    return int(profile.total_float_ops) or None


def has_convolutions(step: Any) -> bool:
    """Return whether ``step``, a concrete function, or one that it calls has a convolution."""
    graph = step.graph.as_graph_def()
    nodes = itertools.chain(graph.node, *(called.node_def for called in graph.library.function))
    return any(node.op.startswith(_CONVOLUTIONS) for node in nodes)


def _is_countable(operation: Any) -> bool:
    """Return whether the profiler counts ``operation``, or its work is negligible."""
    kind = operation.type
    if kind in _V1_CONTROL_FLOW | _OPAQUE or not hasattr(tf.raw_ops, kind):
        return False  # an operation outside ``raw_ops`` comes from a user's library
    if any(_holds_function(value) for value in operation.node_def.attr.values()):
        return False
    if kind not in _COUNTED:
        return not _PRODUCT.search(kind)
    tensors = (*operation.inputs, *operation.outputs)
    return all(tensor.shape.is_fully_defined() for tensor in tensors)


def _holds_function(attribute: Any) -> bool:
    """Return whether an operation's attribute names a function: a body, a branch or a callee."""
    return attribute.HasField("func") or bool(attribute.list.func)
