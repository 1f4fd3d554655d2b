"""Preview the step that an optimizer would take, on copies of the weights and its state.

Usage:
    changes = preview_update(variant, update.optimizer, weights, gradients, replicas)
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from bench.spec.variant import Variant
from bench.training.loop.gradient_update import OPTIMIZERS
from bench.training.replicas import Replicas

_Tensor = Any


def preview_update(
    variant: Variant,
    optimizer: Any,
    weights: Sequence[_Tensor],
    gradients: Sequence[_Tensor],
    replicas: Replicas,
) -> list[np.ndarray]:
    """Return what ``optimizer`` in its current state would add to each of ``weights``.

    ``gradients`` are already clipped. The order is that of the optimizer's variables.
    """
    copies = [keras.Variable(w, dtype=w.dtype.name) for w in weights]
    twin = OPTIMIZERS[variant.optimizer](variant.learning_rate)
    twin.build(copies)
    for copy, original in zip(twin.variables, optimizer.variables, strict=True):
        copy.assign(replicas.first(original.value))
    twin.apply(list(gradients), copies)
    return [c.numpy() - w.numpy() for c, w in zip(copies, weights, strict=True)]
