"""Name the GPUs that Ray assigned to the worker in which this is called."""

import ray


def assigned_gpus() -> tuple[str, ...]:
    """Return Ray's names of the GPUs assigned to this worker, as for CUDA_VISIBLE_DEVICES, sorted.

    These are numbers in PCI bus order, or entries of the variable if it was set when Ray was
    started on the node.
    """
    names = map(str, ray.get_runtime_context().get_accelerator_ids().get("GPU", []))
    return tuple(sorted(names, key=lambda name: (int(name) if name.isdecimal() else -1, name)))
