"""ResNet-50, with the norm, the activation and the start of weights that a variant asks for.

Usage:
    features = resnet50(Layers(variant, seed=7), images)        # (n, 2048)

As published (K. He et al., CVPR 2016, arXiv 1512.03385, table 1), but that a stage halves its
rows and columns in a 3x3 convolution and not in the 1x1 before it, as is usual since. Norms
stand where the paper has batch norm: after each of the 53 convolutions and before the
activation, and none on the input. Only ``bn_post`` stands after the activation, where there is
one; at the end of a block that is behind the sum.
"""

from typing import Any

from bench.training.model.layers import Layers

_Tensor = Any

STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))
"""Channels and number of blocks; a block puts out four times its channels."""
_WIDER = 4


def resnet50(layers: Layers, images: _Tensor) -> _Tensor:
    """The means (n, 2048) of the last block's channels for ``images`` (n, H, W, C)."""
    x = layers.pool(3)(layers.hidden(layers.convolution(64, size=7, stride=2), images))
    for stage, (channels, blocks) in enumerate(STAGES):
        for block in range(blocks):
            x = _block(layers, x, channels, stride=2 if stage and not block else 1)
    return layers.mean()(x)


def _block(layers: Layers, x: _Tensor, channels: int, stride: int) -> _Tensor:
    shortcut = x
    if stride > 1 or x.shape[-1] != _WIDER * channels:
        wide = layers.convolution(_WIDER * channels, size=1, stride=stride)
        shortcut = layers.normed(wide(x))
    x = layers.hidden(layers.convolution(channels, size=1), x)
    x = layers.hidden(layers.convolution(channels, stride=stride), x)
    x = layers.convolution(_WIDER * channels, size=1)(x)
    if layers.norm_first:
        x = layers.sum()([layers.normed(x), shortcut])
        return layers.activation(x)(x)
    return layers.activated(layers.sum()([x, shortcut]))
