"""Check on a node whether its GPUs are fit for a trial: when a run starts and before each trial.

Usage:
    snapshot = inspect_node(names, logical=False, free_timeout_s=10.0)    # when the run starts
    gpus = acquire_gpus(names, allotment)               # in a worker, before TensorFlow is imported
    if isinstance(gpus, UnfitGpus): ...                 # the block moves to other GPUs

A GPU is unfit if another process computes on it, if much more of its memory is in use than when
the run started, or if the driver does not know it.
"""

import os
import socket
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.errors import ResourceError
from bench.execution.prepared_environment import DEFAULT, PreparedEnvironment
from bench.measure.gpu import Gpu, gpus, hides_all, resolve_visible, visible_gpus
from bench.measure.gpu_occupancy import occupancy, wait_until_free
from bench.records.trial_record import ExcludedGpus
from bench.spec.environments import DEFAULT_ENVIRONMENT
from bench.spec.variant import Variant


@dataclass(frozen=True)
class GpuSnapshot:
    """A GPU that Ray can assign on a node."""

    name: str
    """Ray's name for it."""
    uuid: str | None = None
    """None if the driver does not know the name, or if there is no driver."""
    is_instance: bool = False
    """Whether it is a MIG instance."""
    baseline_bytes: int | None = None
    """Memory in use when the run started."""
    unfit: str | None = None
    """Why the run must not use it; None if it may."""


@dataclass(frozen=True)
class NodeSnapshot:
    """The GPUs of a node when the run starts."""

    host: str
    gpus: tuple[GpuSnapshot, ...] = ()
    hides_gpus: bool = False
    """Whether CUDA_VISIBLE_DEVICES hides all of them, although Ray counts one."""
    left_out: tuple[ExcludedGpus, ...] = ()
    """GPUs that are hidden or that Ray does not count."""
    warnings: tuple[str, ...] = ()
    """What makes times on its GPUs unreliable."""


@dataclass(frozen=True)
class GpuAllotment:
    """The GPUs and settings that a worker receives."""

    gpus: int = 0
    """How many GPUs."""
    logical: bool = False
    """Whether Ray only counts GPUs, with no devices behind them, as in tests."""
    baselines_bytes: Mapping[str, int | None] = field(default_factory=dict)
    """Memory in use when the run started, by UUID."""
    free_timeout_s: float = 60.0
    """How long a GPU may take to become free."""
    modules: tuple[Path, ...] = ()
    """Workload modules in the suite's folder."""
    network: str | None = None
    """The network on which workers on other nodes may reach this one; None if none may."""
    environments: Mapping[str, PreparedEnvironment] = field(default_factory=dict)
    """The suite's environments, by name."""

    def environment_of(self, variant: Variant) -> PreparedEnvironment:
        """Return what ``variant`` runs under; ResourceError if nobody has prepared it."""
        environment = self.environments.get(variant.environment)
        if environment is not None:
            return environment
        if variant.environment == DEFAULT_ENVIRONMENT:
            return DEFAULT
        raise ResourceError(f"environment {variant.environment!r} is not prepared: run a suite")


@dataclass(frozen=True)
class AcquiredGpus:
    """The GPUs of a worker, once no other process uses them."""

    devices: tuple[str, ...] = ()
    """By UUID, or by Ray's names without a driver."""
    uuids: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class UnfitGpus:
    """GPUs that Ray assigned to a worker and that it cannot use; nothing was started."""

    gpus: tuple[GpuSnapshot, ...]


def inspect_node(names: Sequence[str], logical: bool, free_timeout_s: float) -> NodeSnapshot:
    """Inspect the GPUs of this node, by Ray's ``names`` of all that it can assign.

    Waits up to ``free_timeout_s`` for GPUs that other processes use.
    """
    host = socket.gethostname()
    if (hidden := gpus_hidden_by(",".join(names))) is not None:
        return NodeSnapshot(host, hides_gpus=True, left_out=(hidden,))
    try:
        if not gpus():  # without a driver, TensorFlow decides in each trial
            return NodeSnapshot(host, tuple(map(GpuSnapshot, names)))
        resolved = {name: _resolve(name) for name in names}
        known = {gpu.uuid for gpu in resolved.values() if isinstance(gpu, Gpu)}
        waited = wait_until_free(dict.fromkeys(known), free_timeout_s)
        snapshots = tuple(
            _snapshot(name, gpu, waited.busy, logical) for name, gpu in resolved.items()
        )
        # Under WSL2, for example, a display uses memory and the driver lists no processes: the GPU
        # can still be used.
        warnings = tuple(
            f"processes that the driver does not list held {count / 2**20:.0f} MiB of GPU {uuid} "
            f"on {host} when the run started: end them if they compute"
            for uuid, count in waited.held_bytes.items()
        )
        uncounted = _uncounted_instances(host, known)
        return NodeSnapshot(host, snapshots, left_out=uncounted, warnings=warnings)
    except ResourceError as error:  # the driver does not work
        unfit = None if logical else str(error)
        return NodeSnapshot(host, tuple(GpuSnapshot(name, unfit=unfit) for name in names))


def gpus_hidden_by(variable: str) -> ExcludedGpus | None:
    """List this machine's GPUs if the CUDA_VISIBLE_DEVICES ``variable`` hides all of them."""
    if not hides_all(variable):
        return None
    try:
        uuids = tuple(gpu.uuid for gpu in gpus())
    except ResourceError:  # the driver does not work, and no trial needs it
        uuids = ()
    reason = f"hidden by CUDA_VISIBLE_DEVICES={variable!r}"
    return ExcludedGpus(node=socket.gethostname(), devices=uuids, reason=reason)


def acquire_gpus(names: Sequence[str], allotment: GpuAllotment) -> AcquiredGpus | UnfitGpus:
    """Wait until earlier processes have released these GPUs.

    Raises ResourceError if their number is not the number requested from Ray.
    """
    if len(names) != allotment.gpus:
        which = f" ({', '.join(names)})" if names else ""
        raise ResourceError(
            f"Ray assigned {len(names)} GPUs{which} instead of {allotment.gpus}: start Ray on this "
            "node with as many GPUs as CUDA_VISIBLE_DEVICES names"
        )
    try:
        return _wait_for_gpus(names, allotment)
    except ResourceError as error:  # the driver does not work
        if allotment.logical:
            return AcquiredGpus(tuple(names))
        return UnfitGpus(tuple(GpuSnapshot(name, unfit=str(error)) for name in names))


def _wait_for_gpus(names: Sequence[str], allotment: GpuAllotment) -> AcquiredGpus | UnfitGpus:
    if not names or not gpus():
        return AcquiredGpus(tuple(names))
    resolved = {name: _resolve(name) for name in names}
    known = {name: gpu.uuid for name, gpu in resolved.items() if isinstance(gpu, Gpu)}
    if len(known) < len(resolved) and not allotment.logical:
        unknown = (name for name in names if name not in known)
        return UnfitGpus(tuple(GpuSnapshot(name, unfit=str(resolved[name])) for name in unknown))
    baselines_bytes = {uuid: allotment.baselines_bytes.get(uuid) for uuid in known.values()}
    waited = wait_until_free(baselines_bytes, allotment.free_timeout_s)
    if waited.busy:
        busy = ((name, uuid) for name, uuid in known.items() if uuid in waited.busy)
        return UnfitGpus(
            tuple(GpuSnapshot(name, uuid, unfit=waited.busy[uuid]) for name, uuid in busy)
        )
    warnings = (
        f"processes that the driver does not list held {count / 2**20:.0f} MiB more of GPU {uuid} "
        "than when the run started"
        for uuid, count in waited.held_bytes.items()
    )
    return AcquiredGpus(
        tuple(known.values()) or tuple(names), tuple(known.values()), tuple(warnings)
    )


def _uncounted_instances(host: str, known: Collection[str]) -> tuple[ExcludedGpus, ...]:
    """List the MIG instances that Ray does not assign, because it counts cards."""
    # If the variable was set when Ray was started, it names the devices that Ray should count.
    visible = () if "CUDA_VISIBLE_DEVICES" in os.environ else visible_gpus(None)
    uuids = tuple(gpu.uuid for gpu in visible if gpu.is_instance and gpu.uuid not in known)
    reason = (
        "Ray counts cards, not MIG instances: start Ray there with the instances' UUIDs in "
        "CUDA_VISIBLE_DEVICES and their number in --num-gpus"
    )
    return (ExcludedGpus(node=host, devices=uuids, reason=reason),) if uuids else ()


def _resolve(name: str) -> Gpu | ResourceError:
    try:
        return resolve_visible(name)
    except ResourceError as error:
        return error


def _snapshot(
    name: str, gpu: Gpu | ResourceError, busy: Mapping[str, str], logical: bool
) -> GpuSnapshot:
    if isinstance(gpu, ResourceError):
        return GpuSnapshot(name, unfit=None if logical else str(gpu))
    held_bytes = occupancy(gpu.uuid).held_bytes
    return GpuSnapshot(name, gpu.uuid, gpu.is_instance, held_bytes, busy.get(gpu.uuid))
