"""All that training changes, read out and put back, and its fingerprint."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np


def snapshot(variables: Sequence[Any]) -> list[np.ndarray]:
    """The values of Keras or TensorFlow ``variables``."""
    return [np.array(variable.numpy()) for variable in variables]


def restore(variables: Sequence[Any], values: Sequence[np.ndarray]) -> None:
    """Put a snapshot back."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def weights_l2(variables: Sequence[Any]) -> float:
    """L2 norm over all ``variables``, summed in float64: equal weights give equal norms."""
    squares = (np.square(np.asarray(v.numpy(), np.float64)).sum() for v in variables)
    return math.sqrt(math.fsum(float(s) for s in squares))
