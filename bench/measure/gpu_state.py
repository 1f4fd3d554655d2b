"""How a GPU is set up, as far as that changes its speed: clocks, power, links, modes.

Usage:
    gpu_state(card.uuid).power_cap_w

Whatever the card, its driver or this user's rights do not answer is None. Clocks are those of the
moment, and rise under load; those of a card split by MIG are the whole card's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pynvml

from bench.measure.nvml import nvml_session

_HZ_PER_MHZ = 1_000_000
_W_PER_MW = 0.001
_COMPUTE_MODES = {
    pynvml.NVML_COMPUTEMODE_DEFAULT: "default",
    pynvml.NVML_COMPUTEMODE_EXCLUSIVE_THREAD: "exclusive_thread",
    pynvml.NVML_COMPUTEMODE_PROHIBITED: "prohibited",
    pynvml.NVML_COMPUTEMODE_EXCLUSIVE_PROCESS: "exclusive_process",
}


@dataclass(frozen=True)
class Clocks:
    """Frequencies of one part of a card."""

    current_hz: int | None = None
    max_hz: int | None = None
    application_hz: int | None = None
    """What the card runs at where an administrator has set application clocks."""


@dataclass(frozen=True)
class GpuState:
    """A card as it is set up."""

    sm: Clocks = Clocks()
    memory: Clocks = Clocks()
    power_cap_w: float | None = None
    default_power_cap_w: float | None = None
    persistence: bool | None = None
    ecc: bool | None = None
    compute_mode: str | None = None
    pcie_generation: int | None = None
    max_pcie_generation: int | None = None
    pcie_width: int | None = None
    """Lanes; a link may have fewer, and an older generation, while the card idles."""
    max_pcie_width: int | None = None
    nvlinks: int | None = None
    """Active ones."""


def gpu_state(uuid: str) -> GpuState:
    """How the card or instance ``uuid`` is set up; ResourceError where the driver is broken."""
    with nvml_session() as available:
        handle = _query(pynvml.nvmlDeviceGetHandleByUUID, uuid) if available else None
        if handle is None:
            return GpuState()
        ecc = _query(pynvml.nvmlDeviceGetEccMode, handle)
        return GpuState(
            sm=_clocks(handle, pynvml.NVML_CLOCK_SM),
            memory=_clocks(handle, pynvml.NVML_CLOCK_MEM),
            power_cap_w=_watts(_query(pynvml.nvmlDeviceGetEnforcedPowerLimit, handle)),
            default_power_cap_w=_watts(
                _query(pynvml.nvmlDeviceGetPowerManagementDefaultLimit, handle)
            ),
            persistence=_flag(_query(pynvml.nvmlDeviceGetPersistenceMode, handle)),
            ecc=None if ecc is None else bool(ecc[0]),
            compute_mode=_COMPUTE_MODES.get(_query(pynvml.nvmlDeviceGetComputeMode, handle)),
            pcie_generation=_query(pynvml.nvmlDeviceGetCurrPcieLinkGeneration, handle),
            max_pcie_generation=_query(pynvml.nvmlDeviceGetMaxPcieLinkGeneration, handle),
            pcie_width=_query(pynvml.nvmlDeviceGetCurrPcieLinkWidth, handle),
            max_pcie_width=_query(pynvml.nvmlDeviceGetMaxPcieLinkWidth, handle),
            nvlinks=_nvlinks(handle),
        )


def _clocks(handle: Any, kind: int) -> Clocks:
    return Clocks(
        current_hz=_hertz(_query(pynvml.nvmlDeviceGetClockInfo, handle, kind)),
        max_hz=_hertz(_query(pynvml.nvmlDeviceGetMaxClockInfo, handle, kind)),
        application_hz=_hertz(_query(pynvml.nvmlDeviceGetApplicationsClock, handle, kind)),
    )


def _nvlinks(handle: Any) -> int | None:
    """A card has fewer links than NVML can number: it answers for its own alone."""
    links = range(pynvml.NVML_NVLINK_MAX_LINKS)
    states = [_query(pynvml.nvmlDeviceGetNvLinkState, handle, link) for link in links]
    answered = [state for state in states if state is not None]
    return sum(map(bool, answered)) if answered else None


def _query(query: Callable[..., Any], *arguments: Any) -> Any | None:
    """What ``query`` answers; None for any error, since none of these may end a run."""
    try:
        return query(*arguments)
    except pynvml.NVMLError:
        return None


def _hertz(megahertz: int | None) -> int | None:
    return None if megahertz is None else megahertz * _HZ_PER_MHZ


def _watts(milliwatts: int | None) -> float | None:
    return None if milliwatts is None else milliwatts * _W_PER_MW


def _flag(value: int | None) -> bool | None:
    return None if value is None else bool(value)
