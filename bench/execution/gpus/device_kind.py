"""Identify the kind of device that trials run on: a GPU by its name, or the CPU.

Usage:
    local_device()                                 # this machine's, for a plan
    local_device("gpu").type                       # "gpu", even if this machine has none
    device_of_nodes(environments, on_gpus=True)    # that of a run, from its nodes' environments
    device_of_record(record, environments)         # that of a finished trial

An environment is a result of ``bench.measure.environment``, and may come from a file.
"""

import contextlib
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bench.errors import ResourceError
from bench.spec.device import DeviceType, RequestedDevice


@dataclass(frozen=True)
class DeviceKind:
    """A kind of device: a trial takes about as long on any device of one kind."""

    name: str
    """NVML's name of a GPU, or a CPU's model with its number of cores."""
    is_gpu: bool
    memory_bytes: int | None = None
    """Memory of the run's smallest GPU; None if the driver does not report it."""

    @property
    def type(self) -> DeviceType:
        """The device type on which a variant's defaults depend."""
        return "gpu" if self.is_gpu else "cpu"

    def is_like(self, other: "DeviceKind") -> bool:
        """Return whether times measured on one of the two also hold for the other."""
        return (self.name, self.is_gpu) == (other.name, other.is_gpu)


CPU = DeviceKind("a CPU", is_gpu=False)
"""An unknown CPU."""
GPU = DeviceKind("a GPU", is_gpu=True)
"""An unknown GPU."""


def local_device(requested: RequestedDevice = "auto") -> DeviceKind:
    """Return the kind of this machine's first GPU in CUDA_VISIBLE_DEVICES, or of its CPU.

    Returns ``GPU`` if a GPU is ``requested`` and this machine has none.
    """
    # Imported here because importing bench.api imports this module.
    from bench.measure.environment import cpu_model
    from bench.measure.gpu import visible_gpus
    from bench.measure.host import usable_cores

    if requested != "cpu":
        # "bench doctor" reports a driver that does not work.
        with contextlib.suppress(ResourceError):
            for gpu in visible_gpus(os.environ.get("CUDA_VISIBLE_DEVICES"))[:1]:
                return DeviceKind(gpu.name, is_gpu=True, memory_bytes=gpu.memory_bytes)
    return GPU if requested == "gpu" else _cpu(cpu_model(), usable_cores())


def device_of_nodes(
    environments: Mapping[str, Any], *, on_gpus: bool, among: Collection[str] = ()
) -> DeviceKind:
    """Return the most common kind among a run's nodes, with the smallest memory of its GPUs.

    Considers the GPUs whose UUIDs are in ``among``, or all GPUs if ``among`` is empty.
    """
    nodes = [node for node in environments.values() if isinstance(node, Mapping)]
    if not on_gpus:
        kinds = Counter(_cpu_of(node) for node in nodes)
        return kinds.most_common(1)[0][0] if kinds else CPU
    every = (card for node in nodes for card in _cards(node))
    cards = [card for card in every if not among or card.get("uuid") in among]
    names = Counter(str(card.get("name")) for card in cards)
    sizes = [card["memory_bytes"] for card in cards if isinstance(card.get("memory_bytes"), int)]
    name = names.most_common(1)[0][0] if names else GPU.name
    return DeviceKind(name, is_gpu=True, memory_bytes=min(sizes, default=None))


def device_of_record(
    record: Mapping[str, Any], environments: Mapping[str, Any]
) -> DeviceKind | None:
    """Return the kind of device that a trial ran on; None if its run does not say."""
    devices, node = record.get("devices"), record.get("node")
    if not isinstance(devices, list | tuple) or not devices or not isinstance(node, str):
        return None
    candidates = [e for name, e in environments.items() if name.partition(" (")[0] == node]
    for environment in candidates:
        for card in _cards(environment):
            if card.get("uuid") in devices:
                return DeviceKind(str(card.get("name")), is_gpu=True)
    if all("CPU" in str(device) for device in devices) and candidates:
        return _cpu_of(candidates[0])
    return None


def _cards(environment: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the GPUs that a process can be assigned: a split card's instances, or the card."""
    for card in _mappings(environment.get("gpus") if isinstance(environment, Mapping) else None):
        instances = list(_mappings(card.get("instances")))
        yield from instances or [card]


def _mappings(values: Any) -> Iterable[Mapping[str, Any]]:
    items = values if isinstance(values, list | tuple) else ()
    return (item for item in items if isinstance(item, Mapping))


def _cpu_of(environment: Any) -> DeviceKind:
    cpu = environment.get("cpu") if isinstance(environment, Mapping) else None
    if not isinstance(cpu, Mapping):
        return CPU
    return _cpu(cpu.get("model"), cpu.get("usable_cores"))


def _cpu(model: Any, cores: Any) -> DeviceKind:
    return DeviceKind(f"{model or 'a CPU'}, {cores or '?'} cores", is_gpu=False)
