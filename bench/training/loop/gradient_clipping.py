"""Clip gradients by value, by the norm of each tensor, or by the norm over all of them.

Usage:
    clipped, changed = clip_gradients(gradients, "global_norm", threshold=1.0)
"""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

_Tensor = Any


def clip_gradients(
    gradients: Sequence[_Tensor], kind: str, threshold: float
) -> tuple[list[_Tensor], _Tensor]:
    """Clip the gradients, and return them with whether any changed (int64, 0 or 1).

    value: limit each element to [-threshold, threshold]. norm: scale each tensor down to an L2
    norm of at most ``threshold``. global_norm: scale all of them by one factor, to that norm over
    all (Pascanu et al., arXiv 1211.5063).
    """
    if kind == "none":
        return list(gradients), tf.constant(0, tf.int64)
    clipped, changed = _CLIPS[kind](list(gradients), threshold)
    return clipped, tf.cast(changed, tf.int64)


def _by_value(gradients: list[_Tensor], threshold: float) -> tuple[list[_Tensor], _Tensor]:
    exceeds = [tf.reduce_any(tf.abs(g) > threshold) for g in gradients]
    return [tf.clip_by_value(g, -threshold, threshold) for g in gradients], _any(exceeds)


def _by_norm(gradients: list[_Tensor], threshold: float) -> tuple[list[_Tensor], _Tensor]:
    norms = [tf.norm(g) for g in gradients]
    clipped = [g * _shrink(norm, threshold) for g, norm in zip(gradients, norms, strict=True)]
    return clipped, _any([norm > threshold for norm in norms])


def _by_global_norm(gradients: list[_Tensor], threshold: float) -> tuple[list[_Tensor], _Tensor]:
    norm = tf.linalg.global_norm(gradients)
    return [g * _shrink(norm, threshold) for g in gradients], norm > threshold


def _shrink(norm: _Tensor, threshold: float) -> _Tensor:
    # An infinite norm gives 0 * inf = NaN, so that a broken gradient stays visible.
    return threshold / tf.maximum(norm, threshold)


def _any(flags: Sequence[_Tensor]) -> _Tensor:
    return tf.reduce_any(tf.stack(flags))


_CLIPS: dict[str, Callable[[list[_Tensor], float], tuple[list[_Tensor], _Tensor]]] = {
    "value": _by_value,
    "norm": _by_norm,
    "global_norm": _by_global_norm,
}
