"""Control which GPUs a process sees: those that Ray assigned to it, whatever its environment says.

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
    """Return Ray's names of the GPUs assigned to this worker, as for CUDA_VISIBLE_DEVICES, sorted.

    These are numbers in PCI bus order, or entries of the variable if it was set when Ray was
    started on the node.
    """
    import ray

    names = map(str, ray.get_runtime_context().get_accelerator_ids().get("GPU", []))
    return tuple(sorted(names, key=lambda name: (int(name) if name.isdecimal() else -1, name)))


def gpu_names_on_node(count: int) -> tuple[str, ...]:
    """Return Ray's names of all ``count`` GPUs that it can assign on this worker's node."""
    from ray._private.worker import global_worker

    # Ray may have changed the variable itself since then, if it reuses the worker.
    entries = global_worker.original_visible_accelerator_ids.get("GPU")
    return tuple(map(str, range(count) if entries is None else entries[:count]))


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
