"""What a GPU cannot compute for a variant, so that TensorFlow would take the CPU for it.

Usage:
    check_kernels(variant)                           # raises UnsupportedProgram

An operation without a kernel for its device and dtype is placed on the CPU without a word
(soft placement), and what it needs crosses the bus in every step. XLA needs no such kernels.
"""

import tensorflow as tf
from tensorflow.python.framework import kernels

from bench.spec.variant import Variant
from bench.training.failures import UnsupportedProgram
from bench.training.model.precision import PRECISIONS
from bench.training.strategy import device_kind

_LOSS = "SparseSoftmaxCrossEntropyWithLogits"
"""Of all that these networks' steps compute, what lacks a kernel for a dtype on offer."""


def check_kernels(variant: Variant) -> None:
    """Raise UnsupportedProgram where a step of ``variant`` would leave this process's GPUs."""
    if reason := missing_kernels(variant, device_kind()):
        raise UnsupportedProgram(reason)


def missing_kernels(variant: Variant, kind: str) -> str | None:
    """The operation that has no kernel on devices of ``kind``, GPU or CPU, and what to set."""
    name = PRECISIONS[variant.precision].dtype
    if variant.jit != "none" or tf.as_dtype(name) in dtypes_with_kernels(_LOSS, kind):
        return None
    return (
        f"{_LOSS} has no {kind} kernel for {name}: "
        "set jit to 'step' or 'epoch', or train on CPUs (--device cpu)"
    )


def dtypes_with_kernels(operation: str, kind: str) -> set[tf.DType]:
    """For which values of its attribute T an operation has a kernel on devices of ``kind``."""
    # Private: the registry is public in C++ alone.
    registered = kernels.get_registered_kernels_for_op(operation).kernel
    return {
        tf.as_dtype(dtype)
        for kernel in registered
        if kernel.device_type in (kind, "DEFAULT")
        for constraint in kernel.constraint
        if constraint.name == "T"
        for dtype in constraint.allowed_values.list.type
    }
