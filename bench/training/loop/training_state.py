"""Copy the training state to the host, restore it, and compute its norm.

Usage:
    with restored(variables, replicas):
        ...                                # steps that must leave no trace
    state = StateCopy(variables, replicas)
    state.restore()
"""

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from bench.training.replicas import Replicas


class StateCopy:
    """Copies of Keras or TensorFlow ``variables`` on each replica of this process.

    They are in the host's memory: on the device they would raise its peak, or not fit.
    """

    def __init__(self, variables: Sequence[Any], replicas: Replicas) -> None:
        values = (v.value if isinstance(v, keras.Variable) else v for v in variables)
        self._variables = [local for value in values for local in replicas.local_values(value)]
        self._copies = [np.array(variable.numpy()) for variable in self._variables]

    def restore(self) -> None:
        """Assign each variable its copied value."""
        for variable, copy in zip(self._variables, self._copies, strict=True):
            variable.assign(copy)


@contextlib.contextmanager
def restored(variables: Sequence[Any], replicas: Replicas) -> Iterator[None]:
    """Restore ``variables`` after the block, but not after an exception, which ends the trial."""
    state = StateCopy(variables, replicas)
    yield
    state.restore()


def weights_l2(variables: Sequence[Any]) -> float:
    """Return the L2 norm over all ``variables``, summed in float64: equal for equal weights."""
    squares = (np.square(np.asarray(v.numpy(), np.float64)).sum() for v in variables)
    return math.sqrt(math.fsum(float(s) for s in squares))
