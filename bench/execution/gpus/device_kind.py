"""What kind of device trials run on: a GPU by its name, or the CPU.

Usage:
    local_device()                                  # of this machine, for a plan
    local_device("gpu").type                        # "gpu", be there one here or not
    device_of_nodes(environments, on_gpus=True)    # of a run, as its nodes tell
    device_of_record(record, environments)         # of a trial that has run

An environment is what ``bench.measure.environment`` gives, and may come from a file.
"""

import contextlib
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bench.errors import ResourceError
from bench.spec.default_jit import DeviceType

Device = Literal["auto", "cpu", "gpu"]
"""What is asked for: auto takes GPUs where there are any."""


@dataclass(frozen=True)
class DeviceKind:
    """Trials on devices of one kind take about as long."""

    name: str
    """A GPU's as NVML gives it, or a CPU's model with the number of cores."""
    is_gpu: bool
    memory_bytes: int | None = None
    """Of a GPU, the smallest of a run's; None where the driver does not say."""

    @property
    def type(self) -> DeviceType:
        """As variants' defaults go by it."""
        return "gpu" if self.is_gpu else "cpu"

    def is_like(self, other: "DeviceKind") -> bool:
        """Whether times measured on the one hold for the other."""
        return (self.name, self.is_gpu) == (other.name, other.is_gpu)


CPU = DeviceKind("a CPU", is_gpu=False)
"""Some CPU, of which nothing is known."""
GPU = DeviceKind("a GPU", is_gpu=True)
"""Some GPU."""


def local_device(wanted: Device = "auto") -> DeviceKind:
    """The first GPU of this machine that CUDA_VISIBLE_DEVICES leaves, or its CPU.

    Some GPU where one is ``wanted`` and there is none here.
    """
    # Imported here, since all that imports bench.api imports this module.
    from bench.measure.environment import cpu_model
    from bench.measure.gpu import visible_gpus
    from bench.measure.host import usable_cores

    if wanted != "cpu":
        # Where the driver does not work, "bench doctor" says so.
        with contextlib.suppress(ResourceError):
            for gpu in visible_gpus(os.environ.get("CUDA_VISIBLE_DEVICES"))[:1]:
                return DeviceKind(gpu.name, is_gpu=True, memory_bytes=gpu.memory_bytes)
    return GPU if wanted == "gpu" else _cpu(cpu_model(), usable_cores())


def device_of_nodes(
    environments: Mapping[str, Any], *, on_gpus: bool, among: Collection[str] = ()
) -> DeviceKind:
    """The commonest kind among the nodes of a run, with the least memory of its GPUs.

    Those are the ones whose UUIDs are ``among``; where that is empty, all that the nodes have.
    """
    nodes = [node for node in environments.values() if isinstance(node, Mapping)]
    if not on_gpus:
        kinds = Counter(_cpu_of(node) for node in nodes)
        return kinds.most_common(1)[0][0] if kinds else CPU
    here = (card for node in nodes for card in _cards(node))
    cards = [card for card in here if not among or card.get("uuid") in among]
    names = Counter(str(card.get("name")) for card in cards)
    sizes = [card["memory_bytes"] for card in cards if isinstance(card.get("memory_bytes"), int)]
    name = names.most_common(1)[0][0] if names else GPU.name
    return DeviceKind(name, is_gpu=True, memory_bytes=min(sizes, default=None))


def device_of_record(
    record: Mapping[str, Any], environments: Mapping[str, Any]
) -> DeviceKind | None:
    """The kind that a trial ran on; None where its run does not say."""
    devices, node = record.get("devices"), record.get("node")
    if not isinstance(devices, list | tuple) or not devices or not isinstance(node, str):
        return None
    there = [e for name, e in environments.items() if name.partition(" (")[0] == node]
    for environment in there:
        for card in _cards(environment):
            if card.get("uuid") in devices:
                return DeviceKind(str(card.get("name")), is_gpu=True)
    if all("CPU" in str(device) for device in devices) and there:
        return _cpu_of(there[0])
    return None


def _cards(environment: Any) -> Iterator[Mapping[str, Any]]:
    """GPUs of a node that a process can be given: of one that is split, its instances."""
    for card in _mappings(environment.get("gpus") if isinstance(environment, Mapping) else None):
        instances = list(_mappings(card.get("instances")))
        yield from instances or [card]


def _mappings(values: Any) -> Iterable[Mapping[str, Any]]:
    found = values if isinstance(values, list | tuple) else ()
    return (value for value in found if isinstance(value, Mapping))


def _cpu_of(environment: Any) -> DeviceKind:
    cpu = environment.get("cpu") if isinstance(environment, Mapping) else None
    if not isinstance(cpu, Mapping):
        return CPU
    return _cpu(cpu.get("model"), cpu.get("usable_cores"))


def _cpu(model: Any, cores: Any) -> DeviceKind:
    return DeviceKind(f"{model or 'a CPU'}, {cores or '?'} cores", is_gpu=False)
