"""How many synthetic images there are, of which training makes further examples by index.

Usage:
    train, held_out = pool_sizes((224, 224, 3), examples=1_281_167)     # 1337, 133

Apart from what makes the images, since a plan asks for it and is not to wait for numpy.
"""

import math

POOL_BYTES = 256 * 2**20
"""Bound on the images of all three sets together; training indexes past them."""

_TRAIN_BYTES = POOL_BYTES * 3 // 4


def pool_sizes(shape: tuple[int, ...], examples: int) -> tuple[int, int]:
    """Training examples held for these arguments, and those of validation and test each.

    The first is ``examples``, or as many as 192 MiB hold, but one at least; the second a tenth
    of that, between 1 and 1,000.
    """
    train = max(1, min(examples, _TRAIN_BYTES // math.prod(shape)))
    return train, max(1, min(1_000, train // 10))
