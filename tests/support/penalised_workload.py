"""User networks whose layers add to the loss, or have variables that it does not depend on."""

from typing import Any

import keras


# Keras has no types: a layer's base class is Any to mypy, hence the two ignores below.
class Narrow(keras.layers.Layer):  # type: ignore[misc]
    """Adds a tenth of its input's mean square to the loss; for use in several places."""

    def call(self, inputs: Any) -> Any:
        self.add_loss(0.1 * keras.ops.mean(keras.ops.square(inputs)))
        return inputs


class Idle(keras.layers.Layer):  # type: ignore[misc]
    """Has a weight that its output does not depend on."""

    def build(self, _shape: Any) -> None:
        self.idle = self.add_weight(shape=(3,), initializer="ones", name="idle")

    def call(self, inputs: Any) -> Any:
        return inputs


def net(layers: Any, images: Any) -> Any:
    """Use a regularizer of weights, one of activations, and a layer that adds a loss twice."""
    narrow = Narrow()
    x = layers.hidden(layers.dense(layers.variant.hidden[0]), narrow(layers.flatten()(images)))
    return keras.layers.Dense(
        6,
        "tanh",
        kernel_initializer=keras.initializers.GlorotUniform(layers.next_seed()),
        kernel_regularizer=keras.regularizers.L2(0.02),
        activity_regularizer=keras.regularizers.L1(0.01),
    )(Idle()(narrow(x)))


def weights_only(layers: Any, images: Any) -> Any:
    """Use a regularizer of weights."""
    return keras.layers.Dense(6, "tanh", kernel_regularizer="l2")(layers.flatten()(images))


def embedded(layers: Any, images: Any) -> Any:
    """Use an embedding of which each step looks up some rows."""
    levels = keras.ops.cast(layers.flatten()(images) * 255, "int32")
    return layers.flatten()(keras.layers.Embedding(256, 3)(levels))


def cut_off(layers: Any, images: Any) -> Any:
    """Cut off every gradient before the last layer."""
    return keras.ops.stop_gradient(layers.hidden(layers.dense(4), layers.flatten()(images)))


def frozen(layers: Any, images: Any) -> Any:
    """Use features that do not learn, and a weight that nothing depends on."""
    dense = layers.dense(layers.variant.hidden[0])
    dense.trainable = False
    return Idle()(layers.hidden(dense, layers.flatten()(images)))
