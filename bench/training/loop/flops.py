"""What a training step computes, read from its graph: its operations, whether it convolves."""

import contextlib
import io
import itertools
import re
from typing import Any

import tensorflow as tf

_CONVOLUTIONS = ("Conv", "DepthwiseConv")
"""How the names of TensorFlow's operations begin, backward passes included."""

_V1_CONTROL_FLOW = frozenset(
    {"Enter", "Exit", "LoopCond", "Merge", "NextIteration", "Switch"}
    | {"RefEnter", "RefExit", "RefMerge", "RefNextIteration", "RefSwitch"}
)
_OPAQUE = frozenset({"EagerPyFunc", "PyFunc", "PyFuncStateless"})
"""Operations that run Python code, of which a graph says nothing."""

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
"""Operations whose work exceeds the size of their tensors; beside it, that of others is small."""


def flops_of(step: Any) -> int | None:
    """Multiplications and additions of ``step``, a concrete function; None where unknown.

    TensorFlow's profiler counts a loop's body once or not at all, does not look into branches
    and nested functions, and passes over operations without a formula or of unknown shape. Where
    such an operation may hold much of the work, the count would be a part: it is None.
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
    """Whether ``step``, a concrete function, or a function that it calls, convolves."""
    graph = step.graph.as_graph_def()
    nodes = itertools.chain(graph.node, *(called.node_def for called in graph.library.function))
    return any(node.op.startswith(_CONVOLUTIONS) for node in nodes)


def _is_countable(operation: Any) -> bool:
    """Whether the profiler counts ``operation``, or its work is small beside that of products."""
    kind = operation.type
    if kind in _V1_CONTROL_FLOW | _OPAQUE or not hasattr(tf.raw_ops, kind):
        return False  # what is not in ``raw_ops`` comes from a library of the user's
    if any(_holds_function(value) for value in operation.node_def.attr.values()):
        return False
    if kind not in _COUNTED:
        return not _PRODUCT.search(kind)
    tensors = (*operation.inputs, *operation.outputs)
    return all(tensor.shape.is_fully_defined() for tensor in tensors)


def _holds_function(attribute: Any) -> bool:
    """Whether an attribute of an operation names a function: a loop's body, a branch, a call's."""
    return attribute.HasField("func") or bool(attribute.list.func)
