"""All that training changes: copied to the host, put back, and its fingerprint.

Usage:
    with restored(variables, replicas):
        ...                                # steps that are to leave no trace
    state = StateCopy(variables, replicas)
    state.put_back()
"""

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from bench.training.strategy import Replicas


class StateCopy:
    """Copies of Keras or TensorFlow ``variables`` as they are on each replica of this process.

    The host holds them: on the device they would be in the peak of its memory, or not fit.
    """

    def __init__(self, variables: Sequence[Any], replicas: Replicas) -> None:
        values = (v.value if isinstance(v, keras.Variable) else v for v in variables)
        self._parts = [part for value in values for part in replicas.parts(value)]
        self._copies = [np.array(part.numpy()) for part in self._parts]

    def restore(self) -> None:
        """Give each variable the value that it had."""
        for part, copy in zip(self._parts, self._copies, strict=True):
            part.assign(copy)


@contextlib.contextmanager
def restored(variables: Sequence[Any], replicas: Replicas) -> Iterator[None]:
    """Put ``variables`` back after the block; not after an exception, which ends the trial."""
    state = StateCopy(variables, replicas)
    yield
    state.restore()


def weights_l2(variables: Sequence[Any]) -> float:
    """L2 norm over all ``variables``, summed in float64: equal weights give equal norms."""
    squares = (np.square(np.asarray(v.numpy(), np.float64)).sum() for v in variables)
    return math.sqrt(math.fsum(float(s) for s in squares))
