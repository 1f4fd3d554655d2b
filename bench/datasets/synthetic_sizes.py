"""Compute how many synthetic images to hold; training derives further examples by index.

Usage:
    train, held_out = pool_sizes((224, 224, 3), examples=1_281_167)     # 1337, 133

Separate from ``synthetic``, because a plan needs the sizes but must not import numpy.
"""

import math

POOL_BYTES = 256 * 2**20
"""Bound on the images of all three sets together."""

_TRAIN_BYTES = POOL_BYTES * 3 // 4


def pool_sizes(shape: tuple[int, ...], examples: int) -> tuple[int, int]:
    """Return the size of the training pool, and that of each of validation and test.

    The training pool has ``examples`` images, or as many as fit in 192 MiB, but at least one.
    The other sets have a tenth of that, between 1 and 1,000.
    """
    train = max(1, min(examples, _TRAIN_BYTES // math.prod(shape)))
    return train, max(1, min(1_000, train // 10))
