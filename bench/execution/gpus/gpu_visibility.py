"""Which GPUs a process sees: those that Ray gave it, whatever its environment says.

Usage:
    set_visible_gpus(assigned_gpus())  # in a worker, before TensorFlow is imported
    with offer_gpus(["0", "1"]): ray.init("local", num_gpus=2)

Ray leaves CUDA_VISIBLE_DEVICES alone in a worker without GPUs, and in all workers where
RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES is set: TensorFlow would then take every GPU.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence

_VISIBLE = "CUDA_VISIBLE_DEVICES"


def assigned_gpus() -> tuple[str, ...]:
    """Ray's names of the GPUs that it gave this worker, as CUDA_VISIBLE_DEVICES has them, sorted.

    Numbers in the bus's order where the variable was not set as Ray was started on the node, else
    entries of it.
    """
    import ray

    names = map(str, ray.get_runtime_context().get_accelerator_ids().get("GPU", []))
    return tuple(sorted(names, key=lambda name: (int(name) if name.isdecimal() else -1, name)))


def gpu_names_on_node(count: int) -> tuple[str, ...]:
    """Ray's names of all ``count`` GPUs that it hands out on this worker's node."""
    from ray._private.worker import global_worker

    # The variable itself may have been changed since, for a worker that is used again.
    entries = global_worker.original_visible_accelerator_ids.get("GPU")
    return tuple(map(str, range(count) if entries is None else entries[:count]))


def set_visible_gpus(names: Sequence[str]) -> None:
    """Have CUDA see these GPUs alone, in the order in which Ray and NVML number them."""
    os.environ[_VISIBLE] = ",".join(names) or "-1"
    os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"


@contextlib.contextmanager
def offer_gpus(names: Sequence[str]) -> Iterator[None]:
    """For the block, name these GPUs to what is started in it; leave the variable where none."""
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
