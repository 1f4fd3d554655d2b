"""The step that an optimiser would take, on copies: neither weights nor state are touched.

Usage:
    changes = preview_update(variant, update.optimizer, values, gradients, replicas)
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from bench.spec.variant import Variant
from bench.training.loop.gradient_update import OPTIMIZERS
from bench.training.strategy import Replicas

_Tensor = Any


def preview_update(
    variant: Variant,
    optimizer: Any,
    weights: Sequence[_Tensor],
    gradients: Sequence[_Tensor],
    replicas: Replicas,
) -> list[np.ndarray]:
    """What ``optimizer``, as its state is now, would add to each of ``weights``.

    ``gradients`` are clipped already. The order is that of the optimiser's own variables.
    """
    copies = [keras.Variable(w, dtype=w.dtype.name) for w in weights]
    twin = OPTIMIZERS[variant.optimizer](variant.learning_rate)
    twin.build(copies)
    for mine, theirs in zip(twin.variables, optimizer.variables, strict=True):
        mine.assign(replicas.first(theirs.value))
    twin.apply(list(gradients), copies)
    return [c.numpy() - w.numpy() for c, w in zip(copies, weights, strict=True)]
