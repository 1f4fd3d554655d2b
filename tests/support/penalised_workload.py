"""Networks of one's own whose layers add to the loss, or have variables that it does not need."""

from typing import Any

import keras


# Keras has no types, so that a layer's base is Any to mypy: both ignores below say that.
class Narrow(keras.layers.Layer):  # type: ignore[misc]
    """Adds a tenth of the mean square of what goes through it; for use in several places."""

    def call(self, inputs: Any) -> Any:
        self.add_loss(0.1 * keras.ops.mean(keras.ops.square(inputs)))
        return inputs


class Idle(keras.layers.Layer):  # type: ignore[misc]
    """Has a weight that nothing depends on."""

    def build(self, _shape: Any) -> None:
        self.idle = self.add_weight(shape=(3,), initializer="ones", name="idle")

    def call(self, inputs: Any) -> Any:
        return inputs


def net(layers: Any, images: Any) -> Any:
    """A regulariser of weights, one of activations, and a layer that adds a loss twice."""
    narrow = Narrow()
    x = layers.hidden(layers.dense(layers.variant.hidden[0]), narrow(layers.flatten()(images)))
    return keras.layers.Dense(
        6,
        "tanh",
        kernel_initializer=keras.initializers.GlorotUniform(layers.next_seed()),
        kernel_regularizer=keras.regularizers.L2(0.02),
        activity_regularizer=keras.regularizers.L1(0.01),
    )(Idle()(narrow(x)))


def weights_alone(layers: Any, images: Any) -> Any:
    """A regulariser of weights."""
    return keras.layers.Dense(6, "tanh", kernel_regularizer="l2")(layers.flatten()(images))


def looked_up(layers: Any, images: Any) -> Any:
    """A table of which each step needs some rows."""
    levels = keras.ops.cast(layers.flatten()(images) * 255, "int32")
    return layers.flatten()(keras.layers.Embedding(256, 3)(levels))


def cut_off(layers: Any, images: Any) -> Any:
    """No variable before the last layer has a gradient."""
    return keras.ops.stop_gradient(layers.hidden(layers.dense(4), layers.flatten()(images)))


def frozen(layers: Any, images: Any) -> Any:
    """Features that do not learn, and a weight that nothing depends on."""
    dense = layers.dense(layers.variant.hidden[0])
    dense.trainable = False
    return Idle()(layers.hidden(dense, layers.flatten()(images)))
