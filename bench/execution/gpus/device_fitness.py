"""Whether GPUs are fit for a trial, asked on their node: as a run starts, and before each trial.

Usage:
    seen = inspect_node(counts, logical=False, free_timeout_s=10.0)   # on a node, as the run starts
    taken = acquire_gpus(assigned_gpus(), allotment)    # in a worker, before TensorFlow is imported
    if isinstance(taken, UnfitGpus): ...                 # the block goes elsewhere

A GPU is unfit where another process computes on it, where much more memory is held on it than as
the run started, and where the driver does not know it.
"""

import os
import socket
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.errors import ResourceError
from bench.execution.gpus.gpu_visibility import gpu_names_on_node
from bench.measure.gpu import Gpu, gpus, hides_all, resolve_visible, visible_gpus
from bench.measure.gpu_occupancy import occupancy, wait_until_free
from bench.records.trial_record import LeftOut


@dataclass(frozen=True)
class GpuSnapshot:
    """A GPU that Ray hands out on a node."""

    name: str
    """Ray's."""
    uuid: str | None = None
    """None where the driver knows none of that name, or where there is no driver."""
    is_instance: bool = False
    """Whether it is a MIG instance."""
    baseline_bytes: int | None = None
    """What it held as the run started."""
    unfit: str | None = None
    """Why it is not to be used; None where it may be."""


@dataclass(frozen=True)
class NodeSnapshot:
    """The GPUs of a node as the run starts."""

    host: str
    gpus: tuple[GpuSnapshot, ...] = ()
    hides_gpus: bool = False
    """Whether CUDA_VISIBLE_DEVICES hides all of them, though Ray counts one."""
    left_out: tuple[LeftOut, ...] = ()
    """What is hidden, or not counted by Ray."""
    warnings: tuple[str, ...] = ()
    """What makes times on its GPUs doubtful."""


@dataclass(frozen=True)
class GpuAllotment:
    """What a worker is to be given, and what is known of it."""

    gpus: int = 0
    logical: bool = False
    """Whether Ray's GPUs are only counted, with no device behind them, as in tests."""
    baselines_bytes: Mapping[str, int | None] = field(default_factory=dict)
    """By UUID."""
    free_timeout_s: float = 60.0
    """How long a GPU may take to become free."""
    modules: tuple[Path, ...] = ()
    """Of workloads, beside the suite's file."""
    network: str | None = None
    """Where workers on other nodes may reach this one; None where none may."""


@dataclass(frozen=True)
class AcquiredGpus:
    """The GPUs of a worker, once nobody else is on them."""

    devices: tuple[str, ...] = ()
    """By UUID, or by Ray's names where there is no driver."""
    uuids: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class UnfitGpus:
    """Why a worker cannot have GPUs that Ray gave it; nothing was started."""

    gpus: tuple[GpuSnapshot, ...]


def inspect_node(counts: Mapping[str, int], logical: bool, free_timeout_s: float) -> NodeSnapshot:
    """The GPUs of this node, of which Ray counts as many as ``counts`` says by the node's id.

    Those that somebody else uses may become free within ``free_timeout_s``.
    """
    import ray

    host = socket.gethostname()
    names = gpu_names_on_node(counts[ray.get_runtime_context().get_node_id()])
    if (hidden := gpus_hidden_by(",".join(names))) is not None:
        return NodeSnapshot(host, hides_gpus=True, left_out=(hidden,))
    try:
        if not gpus():  # no driver: TensorFlow has the last word, in each trial
            return NodeSnapshot(host, tuple(map(GpuSnapshot, names)))
        found = {name: _resolved(name) for name in names}
        known = {gpu.uuid for gpu in found.values() if isinstance(gpu, Gpu)}
        waited = wait_until_free(dict.fromkeys(known), free_timeout_s)
        seen = tuple(_seen(name, gpu, waited.busy, logical) for name, gpu in found.items())
        # A screen's under WSL2, say, whose driver lists no processes: no reason to do without it.
        warnings = tuple(
            f"{count / 2**20:.0f} MiB of GPU {uuid} on {host} were held as the run started, by "
            "processes that cannot be seen: end them if they compute"
            for uuid, count in waited.held_bytes.items()
        )
        return NodeSnapshot(host, seen, left_out=_uncounted(host, known), warnings=warnings)
    except ResourceError as error:  # the driver does not work
        unfit = None if logical else str(error)
        return NodeSnapshot(host, tuple(GpuSnapshot(name, unfit=unfit) for name in names))


def gpus_hidden_by(variable: str) -> LeftOut | None:
    """The GPUs of this machine, where a CUDA_VISIBLE_DEVICES hides all; None where it does not."""
    if not hides_all(variable):
        return None
    try:
        uuids = tuple(gpu.uuid for gpu in gpus())
    except ResourceError:  # nobody wants them
        uuids = ()
    reason = f"hidden by CUDA_VISIBLE_DEVICES={variable!r}"
    return LeftOut(node=socket.gethostname(), devices=uuids, reason=reason)


def acquire_gpus(names: Sequence[str], allotment: GpuAllotment) -> AcquiredGpus | UnfitGpus:
    """Wait until whoever had these GPUs before has given them back.

    Raises ResourceError where they are not as many as were asked of Ray.
    """
    if len(names) != allotment.gpus:
        which = f" ({', '.join(names)})" if names else ""
        raise ResourceError(
            f"Ray gave {len(names)} GPUs{which} where {allotment.gpus} were asked for: "
            "start it on this node with as many GPUs as CUDA_VISIBLE_DEVICES names"
        )
    try:
        return _taken(names, allotment)
    except ResourceError as error:  # the driver does not work
        if allotment.logical:
            return AcquiredGpus(tuple(names))
        return UnfitGpus(tuple(GpuSnapshot(name, unfit=str(error)) for name in names))


def _taken(names: Sequence[str], allotment: GpuAllotment) -> AcquiredGpus | UnfitGpus:
    if not names or not gpus():
        return AcquiredGpus(tuple(names))
    found = {name: _resolved(name) for name in names}
    known = {name: gpu.uuid for name, gpu in found.items() if isinstance(gpu, Gpu)}
    if len(known) < len(found) and not allotment.logical:
        unknown = (name for name in names if name not in known)
        return UnfitGpus(tuple(GpuSnapshot(name, unfit=str(found[name])) for name in unknown))
    baselines_bytes = {uuid: allotment.baselines_bytes.get(uuid) for uuid in known.values()}
    waited = wait_until_free(baselines_bytes, allotment.free_timeout_s)
    if waited.busy:
        busy = ((name, uuid) for name, uuid in known.items() if uuid in waited.busy)
        return UnfitGpus(
            tuple(GpuSnapshot(name, uuid, unfit=waited.busy[uuid]) for name, uuid in busy)
        )
    warnings = (
        f"GPU {uuid} held {count / 2**20:.0f} MiB more than as the run started, by processes that "
        "cannot be seen"
        for uuid, count in waited.held_bytes.items()
    )
    return AcquiredGpus(
        tuple(known.values()) or tuple(names), tuple(known.values()), tuple(warnings)
    )


def _uncounted(host: str, known: Collection[str]) -> tuple[LeftOut, ...]:
    """The MIG instances that Ray, which counts cards, does not hand out."""
    # Where the variable was set as Ray was started, it names what is meant to be counted.
    meant = () if "CUDA_VISIBLE_DEVICES" in os.environ else visible_gpus(None)
    uuids = tuple(gpu.uuid for gpu in meant if gpu.is_instance and gpu.uuid not in known)
    reason = (
        "Ray counts cards, not MIG instances: start it there with CUDA_VISIBLE_DEVICES naming each "
        "instance, and --num-gpus their number"
    )
    return (LeftOut(node=host, devices=uuids, reason=reason),) if uuids else ()


def _resolved(name: str) -> Gpu | ResourceError:
    try:
        return resolve_visible(name)
    except ResourceError as error:
        return error


def _seen(
    name: str, gpu: Gpu | ResourceError, busy: Mapping[str, str], logical: bool
) -> GpuSnapshot:
    if isinstance(gpu, ResourceError):
        return GpuSnapshot(name, unfit=None if logical else str(gpu))
    held_bytes = occupancy(gpu.uuid).held_bytes
    return GpuSnapshot(name, gpu.uuid, gpu.is_instance, held_bytes, busy.get(gpu.uuid))
