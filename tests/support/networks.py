"""User networks with convolutions that are hard to detect."""

from typing import Any

import keras

from bench.training.model.layers import Layers


def depthwise(_layers: Layers, images: Any) -> Any:
    return keras.layers.Flatten()(keras.layers.DepthwiseConv2D(3)(images))


def within_a_model(_layers: Layers, images: Any) -> Any:
    inner = keras.Sequential([keras.layers.Conv2D(2, 3), keras.layers.Flatten()])
    return inner(images)


def in_a_loop(_layers: Layers, images: Any) -> Any:
    frames = keras.layers.Reshape((2, 2, 4, 1))(images)
    return keras.layers.Flatten()(keras.layers.ConvLSTM2D(2, 2)(frames))


def recurrent(_layers: Layers, images: Any) -> Any:
    return keras.layers.LSTM(3)(keras.layers.Reshape((4, 4))(images))
