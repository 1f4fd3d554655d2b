"""What ``jit`` is and why, where a suite leaves it open, and what a slow choice costs.

Usage:
    chosen_text(variants, device)              # "jit, where the suite does not say: none for ..."
    given_text(variants)                       # "jit: none, as the suite says."
    for line in slow_lines(variants, device): ...
    slowdown_text("convnet", "epoch", 30.3)    # as a remark of a time
"""

from collections import Counter
from collections.abc import Iterable, Iterator

from bench.execution.gpus.device_kind import DeviceKind
from bench.report.text.escaping import plain
from bench.report.text.number_text import number, plural
from bench.spec.default_jit import most_compiled, xla_slowdown
from bench.spec.variant import Variant


def chosen_text(variants: Iterable[Variant], device: DeviceKind) -> str:
    """The ``jit`` of ``variants``, for which it was chosen on ``device``; empty without any."""
    chosen = dict.fromkeys(_choice(variant, device) for variant in variants)
    return f"jit, where the suite does not say: {'; '.join(chosen)}." if chosen else ""


def given_text(variants: Iterable[Variant]) -> str:
    """The ``jit`` of ``variants``, for which the suite says it; empty without any."""
    given = dict.fromkeys(variant.jit for variant in variants)
    return f"jit: {', '.join(given)}, as the suite says." if given else ""


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
    own = ":" in workload
    where = f"where {plain(workload)} convolves" if own else f"for {plain(workload)}"
    times = f'{number(slowdown, 2)} times the time of "none"'
    return f'jit = "{jit}" is slow on a CPU {where} ({_measured(own)}{times})'


def _measured(own: bool) -> str:
    """What a slowdown was measured on: no more is known of a network of one's ``own``."""
    nets = "convolutional nets" if own else "one such net"
    return f"measured on two CPU cores, for {nets}: {'up to ' if own else ''}"


def _choice(variant: Variant, device: DeviceKind) -> str:
    """``"none for convnet (measured on two CPU cores, for one such net: 30 times ...)"``."""
    if variant.strategy != "one_device":
        return f"{variant.jit} under a strategy"
    name = f"{variant.jit} for {plain(variant.workload)}"
    slowdown = xla_slowdown(variant.workload, most_compiled(variant.pipeline), device.type)
    if variant.jit != "none" or slowdown is None:
        return name
    measured = _measured(variant.has_custom_workload)
    return f"{name} ({measured}{number(slowdown, 2)} times as long with XLA)"
