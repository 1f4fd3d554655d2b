"""Control which GPUs a process sees: those that Ray assigned to it, whatever its environment says.

Usage:
    set_visible_gpus(["0", "1"])  # in a worker, before TensorFlow is imported
    with offer_gpus(["0", "1"]): ray.init("local", num_gpus=2)

Ray leaves CUDA_VISIBLE_DEVICES alone in a worker without GPUs, and in all workers where
RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES is set: TensorFlow would then take every GPU.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence

_VISIBLE = "CUDA_VISIBLE_DEVICES"


def set_visible_gpus(names: Sequence[str]) -> None:
    """Make only these GPUs visible to CUDA, in the order in which Ray and NVML number them."""
    os.environ[_VISIBLE] = ",".join(names) or "-1"
    os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"


@contextlib.contextmanager
def offer_gpus(names: Sequence[str]) -> Iterator[None]:
    """Make these GPUs visible to processes started in the block; without names, change nothing."""
    before = os.environ.get(_VISIBLE)
    if names:
        os.environ[_VISIBLE] = ",".join(names)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(_VISIBLE, None)
        else:
            os.environ[_VISIBLE] = before
