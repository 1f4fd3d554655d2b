"""Find operations of a variant that have no GPU kernel.

Usage:
    check_kernels(variant)                           # raises UnsupportedProgram

TensorFlow places an operation without a kernel for its device and dtype on the CPU without a
warning (soft placement), and copies its tensors over the bus in every step. XLA needs no kernels.
"""

import tensorflow as tf
from tensorflow.python.framework import kernels

from bench.spec.variant import Variant
from bench.training.exceptions import UnsupportedProgram
from bench.training.model.precision import PRECISIONS
from bench.training.replicas import device_kind

_LOSS = "SparseSoftmaxCrossEntropyWithLogits"
"""The only operation of these networks' steps that lacks a kernel for some precision."""


def check_kernels(variant: Variant) -> None:
    """Raise UnsupportedProgram if an operation of a step would run outside the GPUs."""
    if reason := missing_kernels(variant, device_kind()):
        raise UnsupportedProgram(reason)


def missing_kernels(variant: Variant, kind: str) -> str | None:
    """Name the operation that has no kernel on ``kind`` ("GPU" or "CPU"), and what to change."""
    name = PRECISIONS[variant.precision].dtype
    if variant.jit != "none" or tf.as_dtype(name) in dtypes_with_kernels(_LOSS, kind):
        return None
    return (
        f"{_LOSS} has no {kind} kernel for {name}: "
        "set jit to 'step' or 'epoch', or train on CPUs (--device cpu)"
    )


def dtypes_with_kernels(operation: str, kind: str) -> set[tf.DType]:
    """Return the values of its attribute T for which ``operation`` has a kernel on ``kind``."""
    # Private: the registry is public only in C++.
    registered = kernels.get_registered_kernels_for_op(operation).kernel
    return {
        tf.as_dtype(dtype)
        for kernel in registered
        if kernel.device_type in (kind, "DEFAULT")
        for constraint in kernel.constraint
        if constraint.name == "T"
        for dtype in constraint.allowed_values.list.type
    }
