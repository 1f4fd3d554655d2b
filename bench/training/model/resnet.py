"""Build ResNet-50 with the norm, the activation and the initializer of a variant.

Usage:
    features = resnet50(Layers(variant, seed=7), images)        # (n, 2048)

It follows K. He et al., CVPR 2016, arXiv 1512.03385, table 1, except that a stage halves its rows
and columns in a 3x3 convolution instead of the 1x1 before it, as later implementations do. Norms
are where the paper has batch norm: after each of the 53 convolutions, before the activation, and
none on the input. Only ``bn_post`` comes after the activation if there is one; at the end of a
block, that is after the sum.
"""

from typing import Any

from bench.training.model.layers import Layers

_Tensor = Any

STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))
"""Channels and number of blocks; a block's output has four times its channels."""
_EXPANSION = 4


def resnet50(layers: Layers, images: _Tensor) -> _Tensor:
    """Return the means (n, 2048) of the last block's channels for ``images`` (n, H, W, C)."""
    x = layers.pool(3)(layers.hidden(layers.convolution(64, size=7, stride=2), images))
    for stage, (channels, blocks) in enumerate(STAGES):
        for block in range(blocks):
            x = _block(layers, x, channels, stride=2 if stage and not block else 1)
    return layers.mean()(x)


def _block(layers: Layers, x: _Tensor, channels: int, stride: int) -> _Tensor:
    shortcut = x
    if stride > 1 or x.shape[-1] != _EXPANSION * channels:
        projection = layers.convolution(_EXPANSION * channels, size=1, stride=stride)
        shortcut = layers.normed(projection(x))
    x = layers.hidden(layers.convolution(channels, size=1), x)
    x = layers.hidden(layers.convolution(channels, stride=stride), x)
    x = layers.convolution(_EXPANSION * channels, size=1)(x)
    if layers.norm_first:
        x = layers.sum()([layers.normed(x), shortcut])
        return layers.activation(x)(x)
    return layers.activated(layers.sum()([x, shortcut]))
