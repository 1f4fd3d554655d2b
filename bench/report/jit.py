"""What ``jit`` is and why, where a suite leaves it open, and what a slow choice costs.

Usage:
    chosen_text(variants, device)              # "jit, where the suite does not say: none for ..."
    for line in slow_lines(variants, device): ...
    slowdown_text("convnet", "epoch", 30.3)    # as a remark of a time
"""

from collections import Counter
from collections.abc import Iterable, Iterator

from bench.execution.device_kind import DeviceKind
from bench.report.escape import plain
from bench.report.number import number, plural
from bench.spec.jit import most_compiled, xla_slowdown
from bench.spec.variant import Variant


def chosen_text(variants: Iterable[Variant], device: DeviceKind) -> str:
    """The ``jit`` of ``variants``, for which it was chosen on ``device``; empty without any."""
    chosen = dict.fromkeys(_choice(variant, device) for variant in variants)
    return f"jit, where the suite does not say: {'; '.join(chosen)}." if chosen else ""


def slow_lines(variants: Iterable[Variant], device: DeviceKind) -> Iterator[str]:
    """A warning for each workload and ``jit`` that is slow on ``device``, and what to change."""
    counts = Counter((v.workload, v.jit) for v in variants)
    for (workload, jit), count in counts.items():
        slowdown = xla_slowdown(workload, jit, device.type)
        if slowdown is not None:
            slow = slowdown_text(workload, jit, slowdown)
            yield f'{plural(count, "variant")}: {slow}: set jit = "none"'


def slowdown_text(workload: str, jit: str, slowdown: float) -> str:
    """That ``jit`` is slow on a CPU, by the ``slowdown`` that was measured."""
    times = f'{number(slowdown, 2)} times the time of "none"'
    if ":" in workload:
        where = f"where {plain(workload)} convolves"
        return f'jit = "{jit}" is slow on a CPU {where} (measured: up to {times})'
    return f'jit = "{jit}" is slow on a CPU for {plain(workload)} (measured: {times})'


def _choice(variant: Variant, device: DeviceKind) -> str:
    """``"none for convnet (measured: 30 times as long with XLA on a CPU)"``."""
    if variant.strategy != "one_device":
        return f"{variant.jit} under a strategy"
    name = f"{variant.jit} for {plain(variant.workload)}"
    slowdown = xla_slowdown(variant.workload, most_compiled(variant.pipeline), device.type)
    if variant.jit != "none" or slowdown is None:
        return name
    most = "up to " if variant.has_own_workload else ""
    return f"{name} (measured: {most}{number(slowdown, 2)} times as long with XLA on a CPU)"
