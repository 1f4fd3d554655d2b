"""Explain times by the devices that trials ran on: GPUs, slow precisions, slow XLA.

Usage:
    on_gpus(settings)                                # the resolved settings of one trial
    slow = slow_precisions(completed, raw.settings, info.invocations)
    slow[variant_id].needed_capability               # (8, 0)
    slow_jits(completed, raw.settings)[variant_id].slowdown
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import pandas as pd

from bench.records.run_info import Invocation
from bench.spec.default_jit import Jit, xla_slowdown

Capability = tuple[int, int]
"""A GPU's compute capability: (9, 0) for an H100."""

TENSOR_CORES_SINCE: dict[str, Capability] = {"mixed_bfloat16": (8, 0), "mixed_float16": (7, 0)}
"""The first compute capability with tensor cores for a policy's products (NVIDIA, CUDA C++
Programming Guide, section 20.2, "Features and Technical Specifications")."""

_CAPABILITY = re.compile(r"(\d{1,3})\.(\d{1,3})")

_Settings = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SlowPrecision:
    """A precision that a device has no hardware units for."""

    policy: str
    capability: Capability | None
    """Of the GPU without tensor cores for it; None for a CPU, which emulates it."""

    @property
    def needed_capability(self) -> Capability:
        """The first compute capability with tensor cores for it."""
        return TENSOR_CORES_SINCE[self.policy]


@dataclass(frozen=True, slots=True)
class SlowJit:
    """A workload that XLA compiled although that is slow on its device."""

    workload: str
    jit: str
    slowdown: float
    """Its time over that without XLA, measured once, possibly on another machine."""


def on_gpus(settings: _Settings) -> bool:
    """Return whether a trial's devices are GPUs, named by UUID or by TensorFlow."""
    devices = settings.get("devices") or ()
    return bool(devices) and not any("CPU:" in device for device in devices)


def has_unfused_batch_norm(settings: _Settings) -> bool:
    """Return whether a trial computed batch norm on GPUs as Keras does, not in one kernel."""
    return on_gpus(settings) and settings.get("batch_norm") == "keras"


def slow_precisions(
    completed: pd.DataFrame, settings: Sequence[_Settings], invocations: Sequence[Invocation]
) -> dict[str, SlowPrecision]:
    """Return, by variant id, the precision that was slow on a device of a trial in ``completed``.

    Column "settings" of ``completed`` is the index in ``settings`` of what each trial ran with.
    """
    capabilities = _capabilities(invocations)
    slow = {
        code: _slow_precision(settings[code], capabilities)
        for code in completed["settings"].unique().tolist()
    }
    pairs = (
        completed[["variant_id", "settings"]].drop_duplicates().itertuples(index=False, name=None)
    )
    return {variant_id: remark for variant_id, code in pairs if (remark := slow[code])}


def slow_jits(completed: pd.DataFrame, settings: Sequence[_Settings]) -> dict[str, SlowJit]:
    """Return, by variant id, the JIT mode that slowed down a trial in ``completed`` on a CPU.

    ``completed`` has the columns "workload", "jit" and "settings" (an index, as above).
    """
    columns = ["variant_id", "workload", "jit", "settings"]
    rows = completed[columns].drop_duplicates().itertuples(index=False, name=None)
    remarks = (
        (variant_id, _slow_jit(workload, jit, settings[code]))
        for variant_id, workload, jit, code in rows
    )
    return {variant_id: slow for variant_id, slow in remarks if slow is not None}


def _slow_jit(workload: str, jit: Jit, settings: _Settings) -> SlowJit | None:
    # For a custom network, only convolutions are known to be slow.
    is_unknown = ":" in workload and not settings.get("has_convolutions")
    if is_unknown or jit not in get_args(Jit) or not settings.get("devices"):
        return None
    slowdown = xla_slowdown(workload, jit, "gpu" if on_gpus(settings) else "cpu")
    return None if slowdown is None else SlowJit(workload, jit, slowdown)


def _slow_precision(
    settings: _Settings, capabilities: Mapping[str, Capability]
) -> SlowPrecision | None:
    policy, devices = str(settings.get("policy")), settings.get("devices") or ()
    if policy not in TENSOR_CORES_SINCE or not devices:
        return None
    if not on_gpus(settings):
        # Some CPUs have units for bfloat16; the records do not say which.
        return SlowPrecision(policy, None) if policy == "mixed_float16" else None
    lowest = min(
        (capabilities[device] for device in devices if device in capabilities), default=None
    )
    if lowest is None or lowest >= TENSOR_CORES_SINCE[policy]:
        return None
    return SlowPrecision(policy, lowest)


def _capabilities(invocations: Sequence[Invocation]) -> dict[str, Capability]:
    """Return the recorded compute capability of each GPU and MIG instance by UUID."""
    nodes = [node for invocation in invocations for node in invocation.environment.values()]
    gpus = [gpu for node in nodes for gpu in node.get("gpus") or ()]
    devices = [device for gpu in gpus for device in (gpu, *(gpu.get("instances") or ()))]
    matches = {
        device.get("uuid"): _CAPABILITY.fullmatch(str(device.get("compute_capability")))
        for device in devices
    }
    return {uuid: (int(match[1]), int(match[2])) for uuid, match in matches.items() if match}
