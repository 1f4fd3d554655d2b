"""What is expected of trials before they run, in words: time, comparisons, memory.

Usage:
    time_text(estimates, trials, device)
    needs_text(variants)
    for line in lost_lines(lost): ...
    for line in threads_lines(variants, cores): ...
    for line in too_large_lines(labels, too_large, device): ...
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping

from bench.execution.estimation.estimator import Basis, Estimate
from bench.execution.gpus.device_kind import DeviceKind
from bench.execution.gpus.device_memory import MemoryNeed, memory_need
from bench.records.metric import METRICS
from bench.report.text.escaping import plain
from bench.report.text.number_text import duration, number, plural, scale_of
from bench.spec.pairing import LostBaseline
from bench.spec.plan import Trial
from bench.spec.variant import Variant

_MOST_WARNINGS = 8
"""Variants that are named where they are unlikely to fit."""

_BASIS: dict[Basis, str] = {
    "rates": "from counts of operations and steps, at rates of two CPU cores",
    "guess": "guessed from the data sheet of the GPU, with no measurement behind it",
}


def time_text(
    estimates: Mapping[str, Estimate], trials: Iterable[Trial], device: DeviceKind
) -> str:
    """How long all trials take on one device, and what that is made from.

    ``estimates`` is by variant id.
    """
    seconds = sum(estimates[trial.variant_id].trial_s for trial in trials)
    runs = {estimate.run for estimate in estimates.values() if estimate.run}
    counts = Counter(estimate.basis for estimate in estimates.values())
    origins = [
        f"{plural(count, 'variant')} {_origin(basis, runs)}"
        if len(counts) > 1
        else _origin(basis, runs)
        for basis, count in counts.most_common()
    ]
    time = f"About {duration(seconds)} one after another on {plain(device.name)}"
    return f"{time}: {'; '.join(origins)}."


def _origin(basis: Basis, runs: Collection[str]) -> str:
    if basis != "measured":
        return _BASIS[basis]
    only = plain(next(iter(runs))) if len(runs) == 1 else plural(len(runs), "earlier run")
    return f"as measured in {only}"


def needs_text(variants: Iterable[Variant]) -> str:
    """What the largest trials take of devices and, where that is known, of a GPU's memory."""
    listed = list(variants)
    needs = [needed.total_bytes for v in listed if (needed := memory_need(v)) is not None]
    memory = f"; on GPUs, about {_memory(max(needs))} of the memory of each" if needs else ""
    return f"A trial takes up to {plural(max(v.total_replicas for v in listed), 'device')}{memory}."


def lost_lines(lost: Iterable[LostBaseline]) -> Iterator[str]:
    """A warning for each baseline that is left out: what is lost, and how to keep it."""
    for baseline in lost:
        yield (
            f"warning: without the baseline '{plain(baseline.label)}', "
            f"{plural(baseline.comparisons, 'comparison')} cannot be made: "
            f"keep it by --only {baseline.id}"
        )


def threads_lines(variants: Iterable[Variant], cores: int) -> Iterator[str]:
    """A warning where variants ask for more threads than this machine has ``cores``."""
    most = max((variant.threads or 0 for variant in variants), default=0)
    if most > cores:
        yield (
            f"warning: threads {most} is more than the {plural(cores, 'core')} of this machine, "
            "which refuses such a trial: lower threads, or run on a larger one"
        )


def too_large_lines(
    labels: Mapping[str, str], too_large: Mapping[str, MemoryNeed], device: DeviceKind
) -> Iterator[str]:
    """A warning for each variant that is unlikely to fit, the largest first, and what to change.

    Both mappings are by variant id.
    """
    by_size = sorted(too_large.items(), key=lambda item: -item[1].total_bytes)
    held = f"{plain(device.name)} has {_memory(device.memory_bytes or 0)}"
    for name, needed in by_size[:_MOST_WARNINGS]:
        needs = f"it needs about {_memory(needed.total_bytes)}, {held}"
        yield f"{plain(labels.get(name, name))}: may not fit: {needs}: {_remedy(needed)}"
    if len(by_size) > _MOST_WARNINGS:
        yield f"... and {plural(len(by_size) - _MOST_WARNINGS, 'variant')} more may not fit"


def _remedy(needed: MemoryNeed) -> str:
    largest = max(needed.data_bytes, needed.weights_bytes, needed.batch_bytes)
    if largest == needed.data_bytes:
        return 'set pipeline = "tfdata" or "tfrecord", or lower examples'
    return "lower global_batch_size" if largest == needed.batch_bytes else "lower hidden"


def _memory(size_bytes: int) -> str:
    scale = scale_of([size_bytes], METRICS["peak_device_memory_bytes"])
    return f"{number(size_bytes, 2, scale)} {scale.unit}"
