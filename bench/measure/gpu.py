"""List the GPUs of this machine, those that a process may see, and the processes on them.

Usage:
    for card in gpus(): print(card.index, card.name)
    for gpu in visible_gpus(os.environ.get("CUDA_VISIBLE_DEVICES")): print(gpu.uuid)
    card = resolve_visible("GPU-8f3a")

Cards are numbered in PCI bus order, like CUDA under CUDA_DEVICE_ORDER=PCI_BUS_ID; the driver's
order may differ.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pynvml

from bench.errors import ResourceError
from bench.measure.cgroup import read
from bench.measure.nvml import nvml_call, nvml_optional, nvml_session

_NVIDIA = "0x10de"
_DISPLAY_CLASS = "0x03"
_NO_GPU = frozenset({"", "-1", "NoDevFiles"})
"""Entries of CUDA_VISIBLE_DEVICES that name no GPU and hide all entries after them."""


@dataclass(frozen=True)
class Gpu:
    """A card or a MIG instance: what a process can use as one GPU."""

    index: int
    """Index of the card in PCI order; an instance has the index of its card."""
    name: str
    uuid: str
    pci_bus_id: str
    """Domain, bus, device and function in lower-case hexadecimal, as TensorFlow writes it."""
    memory_bytes: int | None
    compute_capability: str | None
    mig: bool
    """Whether the card is split into MIG instances, or this is an instance."""
    instances: "tuple[Gpu, ...]" = ()

    @property
    def is_instance(self) -> bool:
        """Whether this is a MIG instance: a CUDA process can use at most one of them."""
        return self.uuid.startswith("MIG-")

    @property
    def token(self) -> str:
        """The name in CUDA_VISIBLE_DEVICES: the index of a card, the UUID of an instance."""
        return self.uuid if self.is_instance else str(self.index)


@dataclass(frozen=True)
class Driver:
    """The driver's version, and the newest CUDA version that it supports."""

    version: str | None
    cuda: str | None


@dataclass(frozen=True)
class GpuProcess:
    """A process on a GPU; ``used_bytes`` is None if the driver does not report it."""

    pid: int
    used_bytes: int | None


def gpus() -> tuple[Gpu, ...]:
    """Return the cards that this user may use, in PCI order; empty without a driver.

    Raises ResourceError if the driver or a card does not work.
    """
    with nvml_session() as available:
        count = nvml_call(pynvml.nvmlDeviceGetCount) if available else 0
        # The count includes cards that a scheduler assigned to other jobs; they have no handle.
        handles = [nvml_optional(pynvml.nvmlDeviceGetHandleByIndex, i) for i in range(count)]
        usable = sorted((h for h in handles if h is not None), key=_pci_bus_id)
        return tuple(_card(index, handle) for index, handle in enumerate(usable))


def driver() -> Driver | None:
    """Return the driver's version; None without a driver."""
    with nvml_session() as available:
        if not available:
            return None
        cuda = nvml_optional(pynvml.nvmlSystemGetCudaDriverVersion_v2)
        return Driver(
            version=nvml_optional(pynvml.nvmlSystemGetDriverVersion),
            # The driver encodes 12.4 as 12040.
            cuda=None if cuda is None else f"{cuda // 1000}.{cuda % 1000 // 10}",
        )


def resolve_visible(token: str) -> Gpu:
    """Return the card or instance that one entry of CUDA_VISIBLE_DEVICES names.

    The entry is a number in PCI order (like CUDA, this takes the first instance of a split card),
    or the UUID of a card or instance, or an unambiguous prefix of one. Raises ResourceError if it
    names no GPU.
    """
    cards = gpus()
    entry = token.strip()
    if entry.isdecimal():
        matches = [(*c.instances, c)[0] for c in cards if c.index == int(entry)]
    else:
        devices = [gpu for card in cards for gpu in (card, *card.instances)]
        exact = [gpu for gpu in devices if gpu.uuid == entry]
        is_prefix = entry.startswith(("GPU-", "MIG-")) and len(entry) > len("GPU-")
        matches = exact or [gpu for gpu in devices if is_prefix and gpu.uuid.startswith(entry)]
    if len(matches) != 1:
        choice = ", ".join(f"{card.index} ({card.uuid})" for card in cards) or "none"
        raise ResourceError(f"no GPU is named {token!r}: choose one of these: {choice}")
    return matches[0]


def visible_gpus(variable: str | None) -> tuple[Gpu, ...]:
    """Return the GPUs that a process sees if CUDA_VISIBLE_DEVICES is ``variable`` (None: unset).

    If unset, these are the cards in PCI order, with the instances in place of a split card. Empty
    without a driver. Raises ResourceError if an entry names no GPU.
    """
    cards = () if variable is not None and hides_all(variable) else gpus()
    if variable is None or not cards:
        return tuple(gpu for card in cards for gpu in (card.instances if card.mig else (card,)))
    return tuple(dict.fromkeys(map(resolve_visible, visible_entries(variable))))


def hides_all(variable: str) -> bool:
    """Return whether this value of CUDA_VISIBLE_DEVICES hides every GPU."""
    return not visible_entries(variable)


def visible_entries(variable: str) -> tuple[str, ...]:
    """Return the entries of CUDA_VISIBLE_DEVICES up to one that names no GPU, like CUDA."""
    entries = (entry.strip() for entry in variable.split(","))
    return tuple(itertools.takewhile(lambda entry: entry not in _NO_GPU, entries))


def gpu_processes(uuid: str) -> tuple[GpuProcess, ...] | None:
    """Return the processes that compute on a card or instance; None if the driver lists none."""
    with nvml_session() as available:
        return _processes(pynvml.nvmlDeviceGetComputeRunningProcesses_v3, _by_uuid(uuid, available))


def drawing_processes(uuid: str) -> tuple[GpuProcess, ...] | None:
    """Return the graphics processes on a card, such as a display server; None if not listed."""
    with nvml_session() as available:
        return _processes(
            pynvml.nvmlDeviceGetGraphicsRunningProcesses_v3, _by_uuid(uuid, available)
        )


def used_memory_bytes(uuid: str) -> int | None:
    """Return the memory in use on a card or instance, without what the driver reserves.

    None if the driver does not report it, as on a chip that shares the host's memory.
    """
    with nvml_session() as available:
        memory = _memory(_by_uuid(uuid, available))
        return None if memory is None else int(memory.used)


def memory_bytes(uuid: str) -> int | None:
    """Return the total memory of a card or instance; None if the driver does not report it."""
    with nvml_session() as available:
        memory = _memory(_by_uuid(uuid, available))
        return None if memory is None else int(memory.total)


def cards_on_bus(root: Path = Path("/")) -> tuple[str, ...]:
    """Return the PCI bus ids of NVIDIA GPUs that the kernel lists, with or without a driver."""
    return tuple(
        sorted(
            device.name
            for device in (root / "sys/bus/pci/devices").glob("*")
            if read(device / "vendor") == _NVIDIA
            and (read(device / "class") or "").startswith(_DISPLAY_CLASS)
        )
    )


def _card(index: int, handle: Any) -> Gpu:
    mode = nvml_optional(pynvml.nvmlDeviceGetMigMode, handle)
    mig = mode is not None and mode[0] == pynvml.NVML_DEVICE_MIG_ENABLE
    count = (nvml_optional(pynvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0) if mig else 0
    # NVML reports empty slots as "not found".
    slots = [
        nvml_optional(pynvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, i) for i in range(count)
    ]
    capability = nvml_optional(pynvml.nvmlDeviceGetCudaComputeCapability, handle)
    shared: dict[str, Any] = {
        "index": index,
        "pci_bus_id": _bus_text(_pci_bus_id(handle)),
        "compute_capability": None if capability is None else "{}.{}".format(*capability),
        "mig": mig,
    }
    instances = (Gpu(**_identity(slot), **shared) for slot in slots if slot is not None)
    return Gpu(**_identity(handle), **shared, instances=tuple(instances))


def _identity(handle: Any) -> dict[str, Any]:
    memory = _memory(handle)
    return {
        "name": nvml_call(pynvml.nvmlDeviceGetName, handle),
        "uuid": nvml_call(pynvml.nvmlDeviceGetUUID, handle),
        "memory_bytes": None if memory is None else int(memory.total),
    }


def _pci_bus_id(handle: Any) -> tuple[int, int, int]:
    pci = nvml_call(pynvml.nvmlDeviceGetPciInfo_v3, handle)
    return pci.domain, pci.bus, pci.device


def _bus_text(bus_id: tuple[int, int, int]) -> str:
    return "{:04x}:{:02x}:{:02x}.0".format(*bus_id)


def _memory(handle: Any) -> Any | None:
    """Query memory; version 2 of the query reports reserved memory apart, but is not everywhere."""
    version = pynvml.nvmlMemory_v2
    memory = nvml_optional(pynvml.nvmlDeviceGetMemoryInfo, handle, version)
    return memory if memory is not None else nvml_optional(pynvml.nvmlDeviceGetMemoryInfo, handle)


def _by_uuid(uuid: str, available: bool) -> Any:
    if not available:
        raise ResourceError(f"no GPU {uuid}: this machine has no NVIDIA driver: install one")
    return nvml_call(pynvml.nvmlDeviceGetHandleByUUID, uuid)


def _processes(query: Callable[..., Any], handle: Any) -> tuple[GpuProcess, ...] | None:
    processes = nvml_optional(query, handle)
    if processes is None:
        return None
    return tuple(GpuProcess(process.pid, process.usedGpuMemory) for process in processes)
