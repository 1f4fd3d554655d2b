"""The GPUs of this machine: which they are, which a process may see, and who uses them.

Usage:
    for card in gpus(): print(card.index, card.name)
    for gpu in visible_gpus(os.environ.get("CUDA_VISIBLE_DEVICES")): print(gpu.uuid)
    card = resolve_visible("GPU-8f3a")

Cards are numbered by their place on the PCI bus, as CUDA numbers them under
CUDA_DEVICE_ORDER=PCI_BUS_ID; the driver's own order may differ.
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
"""Entries of CUDA_VISIBLE_DEVICES that name no GPU and hide all that follow."""


@dataclass(frozen=True)
class Gpu:
    """A card, or a MIG instance of one: something that a process can be given."""

    index: int
    """Of the card in PCI order; an instance has its card's."""
    name: str
    uuid: str
    pci_bus_id: str
    """Domain, bus, device and function in lower-case hexadecimal, as TensorFlow writes it."""
    memory_bytes: int | None
    compute_capability: str | None
    mig: bool
    """Whether it is split into MIG instances, or is one."""
    instances: "tuple[Gpu, ...]" = ()

    @property
    def is_instance(self) -> bool:
        """Whether it is a MIG instance: CUDA gives a process one of them at most."""
        return self.uuid.startswith("MIG-")

    @property
    def token(self) -> str:
        """Its name in CUDA_VISIBLE_DEVICES: a card's index, an instance's UUID."""
        return self.uuid if self.is_instance else str(self.index)


@dataclass(frozen=True)
class Driver:
    """The driver, and the newest CUDA that it runs."""

    version: str | None
    cuda: str | None


@dataclass(frozen=True)
class GpuProcess:
    """A process that computes on a GPU; its memory is None where the driver does not say."""

    pid: int
    used_bytes: int | None


def gpus() -> tuple[Gpu, ...]:
    """The cards that this user may use, in PCI order; empty where there is no driver.

    Raises ResourceError where the driver, or a card, does not work.
    """
    with nvml_session() as available:
        count = nvml_call(pynvml.nvmlDeviceGetCount) if available else 0
        # Cards that a scheduler has given to somebody else are counted, but give no handle.
        handles = [nvml_optional(pynvml.nvmlDeviceGetHandleByIndex, i) for i in range(count)]
        own = sorted((h for h in handles if h is not None), key=_pci_bus_id)
        return tuple(_card(index, handle) for index, handle in enumerate(own))


def driver() -> Driver | None:
    """The driver's version; None where there is no driver."""
    with nvml_session() as available:
        if not available:
            return None
        cuda = nvml_optional(pynvml.nvmlSystemGetCudaDriverVersion_v2)
        return Driver(
            version=nvml_optional(pynvml.nvmlSystemGetDriverVersion),
            # 12040 is 12.4, by the driver's own rule.
            cuda=None if cuda is None else f"{cuda // 1000}.{cuda % 1000 // 10}",
        )


def resolve_visible(token: str) -> Gpu:
    """The card or instance that one entry of CUDA_VISIBLE_DEVICES names.

    A number (in PCI order; of a split card its first instance, as CUDA has it), or a UUID of a
    card or of a MIG instance, which may be shortened as long as it fits one only. Raises
    ResourceError where it names none.
    """
    cards = gpus()
    wanted = token.strip()
    if wanted.isdecimal():
        found = [(*c.instances, c)[0] for c in cards if c.index == int(wanted)]
    else:
        known = [gpu for card in cards for gpu in (card, *card.instances)]
        exact = [gpu for gpu in known if gpu.uuid == wanted]
        shortened = wanted.startswith(("GPU-", "MIG-")) and len(wanted) > len("GPU-")
        found = exact or [gpu for gpu in known if shortened and gpu.uuid.startswith(wanted)]
    if len(found) != 1:
        choice = ", ".join(f"{card.index} ({card.uuid})" for card in cards) or "none"
        raise ResourceError(f"no GPU is named {token!r}: choose among those here: {choice}")
    return found[0]


def visible_gpus(variable: str | None) -> tuple[Gpu, ...]:
    """What a process may use whose CUDA_VISIBLE_DEVICES is ``variable``, None where it is unset.

    Cards in PCI order, the instances in place of a card that is split. Nothing where there is no
    driver. Raises ResourceError where an entry names no GPU.
    """
    cards = () if variable is not None and hides_all(variable) else gpus()
    if variable is None or not cards:
        return tuple(gpu for card in cards for gpu in (card.instances if card.mig else (card,)))
    return tuple(dict.fromkeys(map(resolve_visible, visible_entries(variable))))


def hides_all(variable: str) -> bool:
    """Whether a CUDA_VISIBLE_DEVICES names no GPU at all."""
    return not visible_entries(variable)


def visible_entries(variable: str) -> tuple[str, ...]:
    """The entries of a CUDA_VISIBLE_DEVICES, as CUDA reads it: up to one that means no GPU."""
    entries = (entry.strip() for entry in variable.split(","))
    return tuple(itertools.takewhile(lambda entry: entry not in _NO_GPU, entries))


def gpu_processes(uuid: str) -> tuple[GpuProcess, ...] | None:
    """Processes that compute on a card or instance; None where the driver does not say."""
    with nvml_session() as available:
        return _processes(pynvml.nvmlDeviceGetComputeRunningProcesses_v3, _by_uuid(uuid, available))


def drawing_processes(uuid: str) -> tuple[GpuProcess, ...] | None:
    """Processes that draw on a card, such as a screen's; None where the driver does not say."""
    with nvml_session() as available:
        return _processes(
            pynvml.nvmlDeviceGetGraphicsRunningProcesses_v3, _by_uuid(uuid, available)
        )


def used_memory_bytes(uuid: str) -> int | None:
    """Memory of a card or instance that is taken, without what its driver reserves.

    None where the driver does not say, as on a chip whose memory is the host's.
    """
    with nvml_session() as available:
        memory = _memory(_by_uuid(uuid, available))
        return None if memory is None else int(memory.used)


def memory_bytes(uuid: str) -> int | None:
    """All memory of a card or instance; None where the driver does not say."""
    with nvml_session() as available:
        memory = _memory(_by_uuid(uuid, available))
        return None if memory is None else int(memory.total)


def cards_on_bus(root: Path = Path("/")) -> tuple[str, ...]:
    """PCI bus ids of NVIDIA's GPUs as the kernel sees them, with or without a driver."""
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
    # Slots without an instance answer "not found".
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


def _bus_text(place: tuple[int, int, int]) -> str:
    return "{:04x}:{:02x}:{:02x}.0".format(*place)


def _memory(handle: Any) -> Any | None:
    """The second version keeps what the driver reserves apart; older drivers lack it."""
    version = pynvml.nvmlMemory_v2
    newer = nvml_optional(pynvml.nvmlDeviceGetMemoryInfo, handle, version)
    return newer if newer is not None else nvml_optional(pynvml.nvmlDeviceGetMemoryInfo, handle)


def _by_uuid(uuid: str, available: bool) -> Any:
    if not available:
        raise ResourceError(f"no GPU {uuid}: there is no NVIDIA driver: install one")
    return nvml_call(pynvml.nvmlDeviceGetHandleByUUID, uuid)


def _processes(query: Callable[..., Any], handle: Any) -> tuple[GpuProcess, ...] | None:
    found = nvml_optional(query, handle)
    return None if found is None else tuple(GpuProcess(p.pid, p.usedGpuMemory) for p in found)
