"""Read the settings of a GPU that affect its speed: clocks, power, links and modes.

Usage:
    gpu_state(card.uuid).power_cap_w

A value that the card, its driver or this user's permissions do not provide is None. Clocks are
current values, which rise under load; those of a MIG instance are the clocks of the card.
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
    """The card's frequency if an administrator has set application clocks."""


@dataclass(frozen=True)
class GpuState:
    """The settings of a card."""

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
    """Number of lanes; an idle card may use fewer lanes and an older generation."""
    max_pcie_width: int | None = None
    nvlinks: int | None = None
    """Number of active NVLinks."""


def gpu_state(uuid: str) -> GpuState:
    """Return the settings of a card or instance; raises ResourceError if the driver is broken."""
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
    """Count the active links; NVML answers only for links that the card has."""
    links = range(pynvml.NVML_NVLINK_MAX_LINKS)
    answers = [_query(pynvml.nvmlDeviceGetNvLinkState, handle, link) for link in links]
    states = [answer for answer in answers if answer is not None]
    return sum(map(bool, states)) if states else None


def _query(query: Callable[..., Any], *arguments: Any) -> Any | None:
    """Call an NVML function; return None for any error, because no query may end a run."""
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
