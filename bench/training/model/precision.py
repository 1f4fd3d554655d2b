"""Define each precision: the dtypes of weights, sums and layers, TF32, loss scaling.

Usage:
    kind = PRECISIONS[variant.precision]
    keras.layers.Dense(300, dtype=kind.policy)
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class PrecisionKind:
    """One value of the axis ``precision``."""

    policy: str
    """Keras dtype policy of every layer except the last."""
    dtype: str
    """Dtype of the input, the last layer, the loss and its sums."""
    tf32: bool
    """Whether float32 matrix products may use TF32 on a device that has it."""
    scales_loss: bool
    """Whether the loss is scaled, against underflow of gradients."""


PRECISIONS: dict[str, PrecisionKind] = {
    "float32": PrecisionKind("float32", "float32", tf32=True, scales_loss=False),
    "float32_strict": PrecisionKind("float32", "float32", tf32=False, scales_loss=False),
    "mixed_bfloat16": PrecisionKind("mixed_bfloat16", "float32", tf32=True, scales_loss=False),
    "mixed_float16": PrecisionKind("mixed_float16", "float32", tf32=True, scales_loss=True),
    "float64": PrecisionKind("float64", "float64", tf32=False, scales_loss=False),
}
