"""User networks for timing XLA: with depthwise convolutions, and with attention."""

from typing import Any

import keras

from bench.training.model.layers import Layers


def depthwise(_layers: Layers, images: Any) -> Any:
    x = images
    for filters in (16, 32, 64):
        x = keras.layers.SeparableConv2D(filters, 3, padding="same", activation="relu")(x)
        x = keras.layers.MaxPooling2D()(x)
    return keras.layers.GlobalAveragePooling2D()(x)


def attention(_layers: Layers, images: Any) -> Any:
    """Apply attention over the rows of an image."""
    rows = keras.layers.Reshape((images.shape[1], -1))(images)
    x = keras.layers.Dense(64)(rows)
    x = keras.layers.Add()([x, keras.layers.MultiHeadAttention(4, 16)(x, x)])
    x = keras.layers.Dense(64, activation="relu")(x)
    return keras.layers.GlobalAveragePooling1D()(x)
