"""The named values of axes, as types."""

from typing import Annotated, Literal

from pydantic import Field

Initializer = Literal[
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "lecun_normal",
    "lecun_uniform",
    "standard_normal",
    "zeros",
    "ones",
]
Activation = Literal[
    "relu",
    "leaky_relu",
    "prelu",
    "elu",
    "selu",
    "gelu",
    "swish",
    "sigmoid",
    "hard_sigmoid",
    "tanh",
    "softplus",
    "softsign",
    "exponential",
    "linear",
]
Norm = Literal["none", "bn_post", "bn_pre", "layer", "group"]
Clip = Literal["none", "value", "norm", "global_norm"]
OptimizerName = Literal[
    "sgd", "momentum", "nesterov", "rmsprop", "adagrad", "adam", "adamw", "nadam"
]
Precision = Literal["float32", "float32_strict", "mixed_bfloat16", "mixed_float16", "float64"]

CustomWorkload = Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]
"""A user's function that builds a network: its module and its name."""
