"""Does a network of one's own end in a head, on which the package's would stand?

Usage:
    end = head_of(features, classes=10, activation="relu")    # "a softmax", or None

Told by the layers' kinds and sizes. A layer as wide as there are classes that has an activation of
its own may be one of features, and is let through.
"""

from typing import Any

import keras

_Tensor = Any

_PRODUCTS = (keras.layers.Dense, keras.layers.EinsumDense, keras.layers.Conv2D)
_SHAPES = (
    *(keras.layers.Flatten, keras.layers.Reshape, keras.layers.Identity),
    *(keras.layers.GlobalAveragePooling2D, keras.layers.GlobalMaxPooling2D),
)
"""Behind a head they change its shape or dtype, or bring a convolution's places together."""


def head_of(features: _Tensor, classes: int, activation: str) -> str | None:
    """What head ``features`` (n, width) come from: a softmax, or logits; None for no head.

    ``activation`` is the variant's: where it is linear, the activation of a hidden layer looks
    like none.
    """
    is_plain_hidden = activation == "linear"
    tensor = features
    while True:
        operation, node, place = tensor._keras_history  # as Keras itself walks a graph
        if isinstance(operation, keras.Model) and hasattr(operation, "outputs"):
            tensor = operation.outputs[place]  # of a model within, that model's own end
            continue
        if _is_softmax(operation):
            return "a softmax"
        linear = _activation(operation) == "linear"
        if isinstance(operation, _PRODUCTS) and linear and tensor.shape[-1] == classes:
            return f"a layer of {classes} units, as many as there are classes, without activation"
        is_cast = isinstance(operation, keras.layers.Activation) and linear and not is_plain_hidden
        inputs = operation._inbound_nodes[node].input_tensors
        if not (isinstance(operation, _SHAPES) or is_cast) or not inputs:
            return None
        tensor = inputs[0]


def _is_softmax(operation: Any) -> bool:
    """By the name of its class, of its activation or of the function that a Lambda calls."""
    function = getattr(getattr(operation, "function", None), "__name__", "")
    names = (type(operation).__name__, _activation(operation), function)
    return any("softmax" in name.lower() for name in names)


def _activation(operation: Any) -> str:
    function = getattr(operation, "activation", None)
    return str(getattr(function, "__name__", ""))
