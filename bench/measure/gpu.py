"""The GPUs of this machine: which they are, who uses them, and when they are free again.

Usage:
    for card in gpus(): print(card.index, card.name)
    card = resolve_visible(os.environ["CUDA_VISIBLE_DEVICES"].split(",")[0])
    wait_until_free([card.uuid], timeout_s=30)

Cards are numbered by their place on the PCI bus, as CUDA numbers them under
CUDA_DEVICE_ORDER=PCI_BUS_ID; the driver's own order may differ.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pynvml

from bench.errors import ResourceError
from bench.measure.cgroup import read
from bench.measure.nvml import call, opened, optional

_NVIDIA = "0x10de"
_DISPLAY_CLASS = "0x03"
_POLL_S = 0.2
IDLE_BYTES = 256 * 2**20
"""Memory that a card may hold with nothing running on it, beyond what its driver reserves."""


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
    with opened() as there:
        count = call(pynvml.nvmlDeviceGetCount) if there else 0
        # Cards that a scheduler has given to somebody else are counted, but give no handle.
        handles = [optional(pynvml.nvmlDeviceGetHandleByIndex, i) for i in range(count)]
        own = sorted((h for h in handles if h is not None), key=_pci_bus_id)
        return tuple(_card(index, handle) for index, handle in enumerate(own))


def driver() -> Driver | None:
    """The driver's version; None where there is no driver."""
    with opened() as there:
        if not there:
            return None
        cuda = optional(pynvml.nvmlSystemGetCudaDriverVersion_v2)
        return Driver(
            version=optional(pynvml.nvmlSystemGetDriverVersion),
            # 12040 is 12.4, by the driver's own rule.
            cuda=None if cuda is None else f"{cuda // 1000}.{cuda % 1000 // 10}",
        )


def resolve_visible(token: str) -> Gpu:
    """The card or instance that one entry of CUDA_VISIBLE_DEVICES names.

    A number (in PCI order), or a UUID of a card or of a MIG instance, which may be shortened
    as long as it fits one only. Raises ResourceError where it names none.
    """
    cards = gpus()
    wanted = token.strip()
    if wanted.isdecimal():
        found = [card for card in cards if card.index == int(wanted)]
    else:
        known = [gpu for card in cards for gpu in (card, *card.instances)]
        exact = [gpu for gpu in known if gpu.uuid == wanted]
        shortened = wanted.startswith(("GPU-", "MIG-")) and len(wanted) > len("GPU-")
        found = exact or [gpu for gpu in known if shortened and gpu.uuid.startswith(wanted)]
    if len(found) != 1:
        choice = ", ".join(f"{card.index} ({card.uuid})" for card in cards) or "none"
        raise ResourceError(f"no GPU is named {token!r}: choose among those here: {choice}")
    return found[0]


def gpu_processes(uuid: str) -> tuple[GpuProcess, ...] | None:
    """Processes that compute on a card or instance; None where the driver does not say."""
    with opened() as there:
        return _processes(pynvml.nvmlDeviceGetComputeRunningProcesses_v3, _by_uuid(uuid, there))


def used_memory_bytes(uuid: str) -> int | None:
    """Memory of a card or instance that is taken, without what its driver reserves.

    None where the driver does not say, as on a chip whose memory is the host's.
    """
    with opened() as there:
        memory = _memory(_by_uuid(uuid, there))
        return None if memory is None else int(memory.used)


def wait_until_free(
    uuids: Sequence[str], timeout_s: float, sleep: Callable[[float], None] = time.sleep
) -> float:
    """Wait until nobody else computes on these GPUs and what they held is given back.

    The memory of a process that has died is freed a while after it. What draws the screen may
    stay. Returns the seconds waited; raises ResourceError after ``timeout_s``.
    """
    started = time.monotonic()
    with opened() as there:
        handles = {uuid: _by_uuid(uuid, there) for uuid in uuids}
        while held := [f"{u} {what}" for u, handle in handles.items() if (what := _held(handle))]:
            if time.monotonic() - started > timeout_s:
                raise ResourceError(
                    f"{'; '.join(held)} after {timeout_s:g} s: end what runs there, "
                    "or leave that GPU out with CUDA_VISIBLE_DEVICES"
                )
            sleep(_POLL_S)
    return time.monotonic() - started


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
    mode = optional(pynvml.nvmlDeviceGetMigMode, handle)
    mig = mode is not None and mode[0] == pynvml.NVML_DEVICE_MIG_ENABLE
    count = (optional(pynvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0) if mig else 0
    # Slots without an instance answer "not found".
    slots = [optional(pynvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, i) for i in range(count)]
    capability = optional(pynvml.nvmlDeviceGetCudaComputeCapability, handle)
    shared: dict[str, Any] = {
        "index": index,
        "pci_bus_id": _bus_text(_pci_bus_id(handle)),
        "compute_capability": None if capability is None else "{}.{}".format(*capability),
        "mig": mig,
    }
    instances = (Gpu(**_own(slot), **shared) for slot in slots if slot is not None)
    return Gpu(**_own(handle), **shared, instances=tuple(instances))


def _own(handle: Any) -> dict[str, Any]:
    memory = _memory(handle)
    return {
        "name": call(pynvml.nvmlDeviceGetName, handle),
        "uuid": call(pynvml.nvmlDeviceGetUUID, handle),
        "memory_bytes": None if memory is None else int(memory.total),
    }


def _pci_bus_id(handle: Any) -> tuple[int, int, int]:
    pci = call(pynvml.nvmlDeviceGetPciInfo_v3, handle)
    return pci.domain, pci.bus, pci.device


def _bus_text(place: tuple[int, int, int]) -> str:
    return "{:04x}:{:02x}:{:02x}.0".format(*place)


def _memory(handle: Any) -> Any | None:
    """The second version keeps what the driver reserves apart; older drivers lack it."""
    version = pynvml.nvmlMemory_v2
    newer = optional(pynvml.nvmlDeviceGetMemoryInfo, handle, version)
    return newer if newer is not None else optional(pynvml.nvmlDeviceGetMemoryInfo, handle)


def _by_uuid(uuid: str, there: bool) -> Any:
    if not there:
        raise ResourceError(f"no GPU {uuid}: there is no NVIDIA driver: install one")
    return call(pynvml.nvmlDeviceGetHandleByUUID, uuid)


def _processes(query: Callable[..., Any], handle: Any) -> tuple[GpuProcess, ...] | None:
    found = optional(query, handle)
    return None if found is None else tuple(GpuProcess(p.pid, p.usedGpuMemory) for p in found)


def _held(handle: Any) -> str | None:
    """What is in the way on a GPU; None where it is free."""
    computing = _processes(pynvml.nvmlDeviceGetComputeRunningProcesses_v3, handle) or ()
    drawing = _processes(pynvml.nvmlDeviceGetGraphicsRunningProcesses_v3, handle) or ()
    memory = _memory(handle)
    shown = sum(process.used_bytes or 0 for process in drawing)
    used = 0 if memory is None else max(0, int(memory.used) - shown)
    others = {p.pid for p in computing} - {p.pid for p in drawing} - {os.getpid()}
    if not others and used <= IDLE_BYTES:
        return None
    pids = ", ".join(str(pid) for pid in sorted(others)) or "none to be seen"
    return f"still holds {used / 2**20:.0f} MiB (processes: {pids})"
