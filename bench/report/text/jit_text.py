"""Describe the ``jit`` of variants: the default, what a suite sets, and what a slow choice costs.

Usage:
    default_jit_text(variants, device)         # "jit, where the suite does not set it: none ..."
    suite_jit_text(variants)                   # "jit: none, as the suite sets it."
    for line in slow_jit_warnings(variants, device): ...
    slowdown_text("convnet", "epoch", 30.3)    # as a note on a time
"""

from collections import Counter
from collections.abc import Iterable, Iterator

from bench.execution.gpus.device_kind import DeviceKind
from bench.report.text.escaping import plain
from bench.report.text.number_text import number, plural
from bench.spec.default_jit import most_compiled, xla_slowdown
from bench.spec.variant import Variant


def default_jit_text(variants: Iterable[Variant], device: DeviceKind) -> str:
    """Return the ``jit`` chosen on ``device`` for variants without one; "" without variants."""
    choices = dict.fromkeys(_choice(variant, device) for variant in variants)
    return f"jit, where the suite does not set it: {'; '.join(choices)}." if choices else ""


def suite_jit_text(variants: Iterable[Variant]) -> str:
    """Return the ``jit`` of variants for which the suite sets it; "" without variants."""
    values = dict.fromkeys(variant.jit for variant in variants)
    return f"jit: {', '.join(values)}, as the suite sets it." if values else ""


def slow_jit_warnings(variants: Iterable[Variant], device: DeviceKind) -> Iterator[str]:
    """Yield a warning for each workload and ``jit`` that is slow on ``device``, with a remedy."""
    counts = Counter((v.workload, v.jit) for v in variants)
    for (workload, jit), count in counts.items():
        slowdown = xla_slowdown(workload, jit, device.type)
        if slowdown is not None:
            cost = slowdown_text(workload, jit, slowdown)
            yield f'{plural(count, "variant")}: {cost}: set jit = "none"'


def slowdown_text(workload: str, jit: str, slowdown: float) -> str:
    """Say that ``jit`` is slow on a CPU, with the measured ``slowdown``."""
    is_custom = ":" in workload
    where = f"where {plain(workload)} convolves" if is_custom else f"for {plain(workload)}"
    times = f'{number(slowdown, 2)} times the time of "none"'
    return f'jit = "{jit}" is slow on a CPU {where} ({_measurement(is_custom)}{times})'


def _measurement(is_custom: bool) -> str:
    """Say on what a slowdown was measured; a custom workload was not measured itself."""
    nets = "convolutional nets" if is_custom else "one such net"
    limit = "up to " if is_custom else ""
    return f"measured on two CPU cores, for {nets}: {limit}"


def _choice(variant: Variant, device: DeviceKind) -> str:
    """Return ``"none for convnet (measured on two CPU cores, for one such net: 30 times ...)"``."""
    if variant.strategy != "one_device":
        return f"{variant.jit} under a strategy"
    name = f"{variant.jit} for {plain(variant.workload)}"
    slowdown = xla_slowdown(variant.workload, most_compiled(variant.pipeline), device.type)
    if variant.jit != "none" or slowdown is None:
        return name
    measurement = _measurement(variant.has_custom_workload)
    return f"{name} ({measurement}{number(slowdown, 2)} times as long with XLA)"
