"""Detect whether a user's network already ends in a head; the package adds its own.

Usage:
    head = detect_head(images, features, classes=10, activation="relu")    # "a softmax", or None

The test uses the kinds and sizes of layers, and the network's output for some images. A layer with
as many units as there are classes and an activation may compute features, and is accepted; so is a
softmax of another width, such as a gate.
"""

from typing import Any

import keras
import numpy as np

_Tensor = Any

_PRODUCTS = (
    *(keras.layers.Dense, keras.layers.EinsumDense),
    *(keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.SeparableConv2D),
)
_PASS_THROUGH = (
    *(keras.layers.Flatten, keras.layers.Reshape, keras.layers.Identity),
    *(keras.layers.GlobalAveragePooling1D, keras.layers.GlobalMaxPooling1D),
    *(keras.layers.GlobalAveragePooling2D, keras.layers.GlobalMaxPooling2D),
    *(keras.layers.Dropout, keras.layers.Rescaling, keras.layers.Average),
)
"""Layers that may follow a head: they change its shape or dtype, scale it, or average parts."""
_WITH_A_NUMBER = ("Multiply", "Divide", "TrueDivide", "Add", "Subtract", "Negative")
"""Operations of ``keras.ops`` that may scale or shift a single tensor by a number."""
_IMAGES = 4
_TOLERANCE = 0.02
"""Error of the sum of a softmax in bfloat16."""


def detect_head(images: _Tensor, features: _Tensor, classes: int, activation: str) -> str | None:
    """Describe the head that ``features`` (n, width) of ``images`` come from, or return None.

    ``activation`` is the variant's: if it is linear, a hidden layer's activation looks like none.
    """
    if features.shape[-1] != classes:
        return None
    head = _last_layer(features, classes, activation == "linear")
    return head or ("a softmax" if _sums_to_1(images, features) else None)


def _last_layer(tensor: _Tensor, classes: int, is_plain_hidden: bool) -> str | None:
    while True:
        operation, node, output = tensor._keras_history  # Keras itself walks a graph in this way
        if isinstance(operation, keras.Model) and hasattr(operation, "outputs"):
            tensor = operation.outputs[output]  # continue inside a nested model, from its end
            continue
        if _is_softmax(operation):
            return "a softmax" if tensor.shape[-1] == classes else None
        linear = _activation(operation) == "linear"
        if isinstance(operation, _PRODUCTS) and linear and tensor.shape[-1] == classes:
            return f"a layer of {classes} units, as many as there are classes, without activation"
        is_cast = isinstance(operation, keras.layers.Activation) and linear and not is_plain_hidden
        inputs = operation._inbound_nodes[node].input_tensors
        is_scaled = type(operation).__name__ in _WITH_A_NUMBER and len(inputs) == 1
        if not (isinstance(operation, _PASS_THROUGH) or is_cast or is_scaled) or not inputs:
            return None
        if len(inputs) > 1:
            heads = [_last_layer(each, classes, is_plain_hidden) for each in inputs]
            return heads[0] if all(heads) else None
        [tensor] = inputs


def _sums_to_1(images: _Tensor, features: _Tensor) -> bool:
    """Return whether ``features`` of some images are probabilities, or their logarithms."""
    samples = np.random.default_rng(0).uniform(0, 1, (_IMAGES, *images.shape[1:]))
    outputs = keras.Function(images, features)(keras.ops.cast(samples, images.dtype))
    rows = np.asarray(keras.ops.convert_to_numpy(outputs), np.float64)
    if not np.isfinite(rows).all() or (rows == rows[0]).all():
        return False
    probabilities = np.exp(rows) if (rows <= 0).all() else rows
    sums = probabilities.sum(axis=-1)
    return bool((probabilities >= 0).all() and np.allclose(sums, 1, atol=_TOLERANCE))


def _is_softmax(operation: Any) -> bool:
    """Judge by the name of its class, its activation, or the function that a Lambda calls."""
    function = getattr(getattr(operation, "function", None), "__name__", "")
    names = (type(operation).__name__, _activation(operation), function)
    return any("softmax" in name.lower() for name in names)


def _activation(operation: Any) -> str:
    function = getattr(operation, "activation", None)
    return str(getattr(function, "__name__", ""))
