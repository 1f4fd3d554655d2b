"""Describe what a plan needs before it runs: time, devices and memory, with warnings.

Usage:
    time_text(estimates, trials, device)
    resource_text(variants)
    for line in lost_baseline_warnings(lost): ...
    for line in thread_warnings(variants, cores): ...
    for line in memory_warnings(labels, too_large, device): ...
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping

from bench.execution.estimation.device_memory import MemoryNeed, memory_need
from bench.execution.estimation.estimator import Basis, Estimate
from bench.execution.gpus.device_kind import DeviceKind
from bench.records.metric import METRICS
from bench.report.text.escaping import plain
from bench.report.text.number_text import duration, number, percent, plural, scale_of
from bench.spec.pairing import LostBaseline
from bench.spec.plan import Trial
from bench.spec.suite import Suite
from bench.spec.variant import Variant

_MAX_WARNINGS = 8
"""How many variants that are unlikely to fit are named."""

_BASIS: dict[Basis, str] = {
    "rates": "from counts of operations and steps, at the rates of two CPU cores",
    "guess": "a guess from the data sheet of the GPU, without any measurement",
}


def time_text(
    estimates: Mapping[str, Estimate], trials: Iterable[Trial], device: DeviceKind
) -> str:
    """Say how long all trials take on one device, and how that was estimated.

    ``estimates`` maps variant ids to estimates.
    """
    seconds = sum(estimates[trial.variant_id].trial_s for trial in trials)
    runs = {estimate.run for estimate in estimates.values() if estimate.run}
    counts = Counter(estimate.basis for estimate in estimates.values())
    sources = [
        f"{plural(count, 'variant')} {_basis_text(basis, runs)}"
        if len(counts) > 1
        else _basis_text(basis, runs)
        for basis, count in counts.most_common()
    ]
    time = f"About {duration(seconds)} one after another on {plain(device.name)}"
    return f"{time}: {'; '.join(sources)}."


def _basis_text(basis: Basis, runs: Collection[str]) -> str:
    if basis != "measured":
        return _BASIS[basis]
    source = plain(next(iter(runs))) if len(runs) == 1 else plural(len(runs), "earlier run")
    return f"as measured in {source}"


def precision_texts(suite: Suite, block_s: float) -> Iterator[str]:
    """Yield what the precision of ``suite`` means for the time, if it has one.

    ``block_s`` is the time of all trials of a block, one after another.
    """
    if suite.precision is None:
        return
    most = suite.most_blocks
    if not suite.compare or most == suite.blocks:
        reason = (
            f"{most} are as many as max_blocks allows" if suite.compare else "nothing is compared"
        )
        yield f"The precision adds no blocks: {reason}."
        return
    yield (
        f"Then it adds blocks, {duration(block_s)} each, until every ratio is precise to "
        f"±{percent(suite.precision)}, up to {most} in all (max_blocks): at most about "
        f"{duration(most * block_s)}; --max-time of bench run ends it earlier."
    )


def resource_text(variants: Iterable[Variant]) -> str:
    """Say how many devices and, where known, how much GPU memory the largest trials take."""
    listed = list(variants)
    needs = [need.total_bytes for v in listed if (need := memory_need(v)) is not None]
    memory = f"; on GPUs, about {_memory(max(needs))} of the memory of each" if needs else ""
    return f"A trial takes up to {plural(max(v.total_replicas for v in listed), 'device')}{memory}."


def lost_baseline_warnings(lost: Iterable[LostBaseline]) -> Iterator[str]:
    """Yield a warning for each excluded baseline, with what is lost and how to keep it."""
    for baseline in lost:
        yield (
            f"warning: without the baseline '{plain(baseline.label)}', "
            f"{plural(baseline.comparisons, 'comparison')} per block cannot be computed: "
            f"keep it with --only {baseline.id}"
        )


def thread_warnings(variants: Iterable[Variant], cores: int) -> Iterator[str]:
    """Yield a warning if a variant asks for more threads than this machine's ``cores``."""
    most = max((variant.threads or 0 for variant in variants), default=0)
    if most > cores:
        yield (
            f"warning: threads {most} is more than the {plural(cores, 'core')} of this machine, "
            "which would refuse the trial: lower threads, or run on a larger machine"
        )


def memory_warnings(
    labels: Mapping[str, str], too_large: Mapping[str, MemoryNeed], device: DeviceKind
) -> Iterator[str]:
    """Yield a warning for each variant that is unlikely to fit, the largest first.

    Each warning says what to change. The keys of both mappings are variant ids.
    """
    by_size = sorted(too_large.items(), key=lambda item: -item[1].total_bytes)
    capacity = f"{plain(device.name)} has {_memory(device.memory_bytes or 0)}"
    for name, need in by_size[:_MAX_WARNINGS]:
        reason = f"it needs about {_memory(need.total_bytes)}, {capacity}"
        yield f"{plain(labels.get(name, name))}: may not fit: {reason}: {_remedy(need)}"
    if len(by_size) > _MAX_WARNINGS:
        yield f"... and {plural(len(by_size) - _MAX_WARNINGS, 'variant')} more may not fit"


def _remedy(need: MemoryNeed) -> str:
    largest = max(need.data_bytes, need.weights_bytes, need.batch_bytes)
    if largest == need.data_bytes:
        return 'set pipeline = "tfdata" or "tfrecord", or lower examples'
    return "lower global_batch_size" if largest == need.batch_bytes else "lower hidden"


def _memory(size_bytes: int) -> str:
    scale = scale_of([size_bytes], METRICS["peak_device_memory_bytes"])
    return f"{number(size_bytes, 2, scale)} {scale.unit}"
