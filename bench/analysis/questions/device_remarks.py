"""What the devices that trials ran on mean for their times.

Usage:
    on_gpus(settings)                                # of one trial: settings as resolved
    slow = slow_precisions(done, raw.settings, info.invocations)
    slow[variant_id].needed                          # (8, 0)
    slow_jits(done, raw.settings)[variant_id].slowdown
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from bench.records.run_folder import Invocation
from bench.spec.default_jit import Jit, xla_slowdown

if TYPE_CHECKING:
    import pandas as pd

Capability = tuple[int, int]
"""A GPU's compute capability: (9, 0) of an H100."""

TENSOR_CORES_SINCE: dict[str, Capability] = {"mixed_bfloat16": (8, 0), "mixed_float16": (7, 0)}
"""The first compute capability with tensor cores for a policy's products (NVIDIA, CUDA C++
Programming Guide, section 20.2, "Features and Technical Specifications")."""

_CAPABILITY = re.compile(r"(\d{1,3})\.(\d{1,3})")

_Settings = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SlowPrecision:
    """A precision for which a device has no units of its own."""

    policy: str
    found: Capability | None
    """Of the GPU that has no tensor cores for it; None for a CPU, which emulates it."""

    @property
    def needed(self) -> Capability:
        """The first compute capability with tensor cores for it."""
        return TENSOR_CORES_SINCE[self.policy]


@dataclass(frozen=True, slots=True)
class SlowJit:
    """What XLA compiled though it is slow there."""

    workload: str
    jit: str
    slowdown: float
    """Its time over that without XLA, as it was measured once, on another machine perhaps."""


def on_gpus(settings: _Settings) -> bool:
    """Whether a trial's devices are GPUs, by UUID or by TensorFlow's name."""
    devices = settings.get("devices") or ()
    return bool(devices) and not any("CPU:" in device for device in devices)


def has_unfused_batch_norm(settings: _Settings) -> bool:
    """Whether a trial computed batch norm on GPUs as Keras does, not by one kernel."""
    return on_gpus(settings) and settings.get("batch_norm") == "keras"


def slow_precisions(
    done: "pd.DataFrame", settings: Sequence[_Settings], invocations: Sequence[Invocation]
) -> dict[str, SlowPrecision]:
    """By variant, for those of which a trial in ``done`` had a device slow in its precision.

    ``done`` has a column "settings", the place in ``settings`` of what each trial ran with.
    """
    known = _capabilities(invocations)
    slow = {code: _slow(settings[code], known) for code in done["settings"].unique().tolist()}
    pairs = done[["variant_id", "settings"]].drop_duplicates().itertuples(index=False, name=None)
    return {variant: found for variant, code in pairs if (found := slow[code])}


def slow_jits(done: "pd.DataFrame", settings: Sequence[_Settings]) -> dict[str, SlowJit]:
    """By variant, for those of which a trial in ``done`` was slowed by XLA, on its CPU.

    ``done`` has the columns "workload", "jit" and "settings", as ``slow_precisions`` has that.
    """
    columns = ["variant_id", "workload", "jit", "settings"]
    rows = done[columns].drop_duplicates().itertuples(index=False, name=None)
    found = ((v, _slow_jit(workload, jit, settings[code])) for v, workload, jit, code in rows)
    return {variant: slow for variant, slow in found if slow is not None}


def _slow_jit(workload: str, jit: Jit, settings: _Settings) -> SlowJit | None:
    # Of a network of one's own only its convolutions are known to be slow.
    passed_by = ":" in workload and not settings.get("has_convolutions")
    if passed_by or jit not in get_args(Jit) or not settings.get("devices"):
        return None
    slowdown = xla_slowdown(workload, jit, "gpu" if on_gpus(settings) else "cpu")
    return None if slowdown is None else SlowJit(workload, jit, slowdown)


def _slow(settings: _Settings, known: Mapping[str, Capability]) -> SlowPrecision | None:
    policy, devices = str(settings.get("policy")), settings.get("devices") or ()
    if policy not in TENSOR_CORES_SINCE or not devices:
        return None
    if not on_gpus(settings):
        # Some CPUs have units for bfloat16, and records do not say which.
        return SlowPrecision(policy, None) if policy == "mixed_float16" else None
    least = min((known[device] for device in devices if device in known), default=None)
    if least is None or least >= TENSOR_CORES_SINCE[policy]:
        return None
    return SlowPrecision(policy, least)


def _capabilities(invocations: Sequence[Invocation]) -> dict[str, Capability]:
    """The compute capability of each GPU, and MIG instance, that is on record."""
    nodes = [node for call in invocations for node in call.environment.values()]
    cards = [card for node in nodes for card in node.get("gpus") or ()]
    all_of_them = [gpu for card in cards for gpu in (card, *(card.get("instances") or ()))]
    parsed = {
        gpu.get("uuid"): _CAPABILITY.fullmatch(str(gpu.get("compute_capability")))
        for gpu in all_of_them
    }
    return {uuid: (int(found[1]), int(found[2])) for uuid, found in parsed.items() if found}
