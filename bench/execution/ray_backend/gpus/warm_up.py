"""Warm up GPUs whose code is compiled at first use, on each node before a run's first trial.

Usage:
    warm_up(cluster, usable, trials, data_of, limits, head, on_event)

For compute capability 9.0 and later TensorFlow's kernels are PTX (``gpu_support``), which the
driver compiles when a kernel is first used and keeps in a cache on disk (``gpu_code_cache``).
Without a warm-up, that time would count in the cold start and the validation of the first arm.
So a separate process trains a few steps of each program of the run, once per node and kind of GPU,
untimed and unrecorded. Later runs find a mark (``warm_up_marks``) and do not repeat it. A program
that fails there is reported, and fails in its own trial as well.
"""

import contextlib
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.execution.executor import Limits, OnEvent, WarmUpFailure, WarmUpStart
from bench.execution.gpus.gpu_code_cache import set_code_cache
from bench.execution.gpus.gpu_support import compiles_at_first_use
from bench.execution.gpus.warm_up_marks import WarmUpMarks
from bench.execution.ray_backend.blocks.dataset_store import DatasetUnavailable
from bench.execution.ray_backend.cluster.cluster_nodes import alive_nodes, ask_nodes
from bench.execution.ray_backend.gpus.node_warm_up import NodeWarmUp, WarmUpProgram, warm_up_nodes
from bench.execution.ray_backend.ray_compat import available_resources_per_node
from bench.execution.scheduling.cluster import Cluster
from bench.execution.scheduling.resources import ResourceRequest
from bench.spec.axis_groups import KERNEL_AXES
from bench.spec.plan import Trial
from bench.spec.timing import Timing
from bench.spec.variant import Variant

_STEPS = 2
_UNTIMED = Timing(warmup_s=0.0, min_timing_s=0.0)


def warm_up(
    cluster: Cluster,
    usable: Collection[str],
    trials: Iterable[Trial],
    data_of: Callable[[Trial], Any],
    limits: Limits,
    head: str,
    on_event: OnEvent,
) -> None:
    """Train a few steps of each program on each node that needs it; report what was not warmed up.

    ``usable`` are the UUIDs of the GPUs that no other process uses. ``data_of`` returns a reference
    to a trial's data in Ray's object store. Nodes whose GPUs other work on the cluster holds are
    skipped: there the first trial compiles for the others. Raises ConnectionError if Ray's ``head``
    does not answer.
    """
    nodes = {node["NodeID"]: node for node in alive_nodes() if node["NodeID"] in cluster.nodes}
    short = {kernels_of(trial): trial for trial in programs(trials)}
    cards = ask_nodes(list(nodes.values()), cards_to_warm, list(usable), list(short))
    shares = {node: _share(cluster, node, cold) for node, cold in cards.items() if cold.lacking}
    if not shares:
        return
    programs_by_kernels = _with_data(short, data_of)
    free = available_resources_per_node()
    fitting = {node: share for node, share in shares.items() if _fits(share, free.get(node, {}))}
    for node in shares.keys() - fitting.keys():
        host, count = nodes[node]["NodeManagerHostname"], cards[node].program_count
        on_event(WarmUpFailure(host, count, "other work on the cluster holds its GPUs"))
    if not fitting:
        return
    on_event(WarmUpStart(len(fitting), max(cards[node].program_count for node in fitting)))
    warm_ups = [
        NodeWarmUp(
            nodes[node]["NodeManagerHostname"],
            ResourceRequest((share,), "PACK", (node,)),
            {
                uuid if cards[node].mixed else None: [
                    programs_by_kernels[k] for k in lacking if k in programs_by_kernels
                ]
                for uuid, lacking in cards[node].lacking.items()
            },
            limits,
            on_event,
        )
        for node, share in fitting.items()
    ]
    warm_up_nodes(warm_ups, head)


@dataclass(frozen=True)
class ColdCards:
    """The GPUs of a node that need a warm-up."""

    lacking: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Kernels that are not compiled yet, by UUID of the first GPU of each kind.

    For a card split by MIG it is the UUID of an instance.
    """
    mixed: bool = False
    """Whether Ray could assign another kind of GPU instead."""

    @property
    def program_count(self) -> int:
        """How many programs to train on all of its GPUs together."""
        return sum(map(len, self.lacking.values()))


def cards_to_warm(usable: Sequence[str], kernels: Sequence[str]) -> ColdCards:
    """Return this node's ``usable`` GPUs that have not compiled some of ``kernels``."""
    from bench.measure.environment import environment
    from bench.training.cuda.cuda_libraries import has_driver

    environ = dict(os.environ)
    set_code_cache(environ)
    # Compiled code would not be cached.
    if environ.get("CUDA_CACHE_DISABLE") == "1" or not has_driver():
        return ColdCards()
    return cold_cards(environment()["gpus"], usable, kernels, environ)


def cold_cards(
    cards: Iterable[Mapping[str, Any]],
    usable: Collection[str],
    kernels: Sequence[str],
    environ: Mapping[str, str],
) -> ColdCards:
    """Select from an environment's ``cards`` by the marks in the CUDA cache of ``environ``."""
    lacking: dict[str, tuple[str, ...]] = {}
    kinds = set()
    for card in cards:
        uuids = [card["uuid"], *(instance["uuid"] for instance in card["instances"])]
        free = [uuid for uuid in uuids if uuid in usable]
        if not free or card["name"] in kinds:
            continue
        kinds.add(card["name"])
        marks = WarmUpMarks(environ, card["name"])
        missing = tuple(each for each in kernels if each not in marks)
        if missing and compiles_at_first_use(card):
            lacking[free[0]] = missing
    return ColdCards(lacking, len(kinds) > 1)


def _share(cluster: Cluster, node: str, cold: ColdCards) -> dict[str, float]:
    """Return a warm-up's share of a node: all GPUs if Ray could assign one of the wrong kind."""
    gpus = cluster.sizes[node] if cold.mixed else 1
    return {"GPU": float(gpus), "CPU": cluster.cores_of(node) * gpus}


def _fits(share: Mapping[str, float], free: Mapping[str, float]) -> bool:
    return all(free.get(name, 0.0) >= amount for name, amount in share.items())


def programs(trials: Iterable[Trial]) -> list[Trial]:
    """Return one short trial on one device for each set of kernels that ``trials`` use."""
    by_kernels: dict[str, Trial] = {}
    for trial in trials:
        variant = _shorten(trial.variant)
        short = trial.model_copy(update={"variant": variant, "timing": _UNTIMED})
        by_kernels.setdefault(kernels_of(short), short)
    # Determinism cannot be turned off again in a process.
    return sorted(by_kernels.values(), key=lambda trial: trial.variant.deterministic)


def kernels_of(short: Trial) -> str:
    """Describe what the kernels of one of ``programs`` depend on."""
    settings = short.variant.canonical().items()
    return repr(sorted((k, v) for k, v in settings if k in KERNEL_AXES))


def _with_data(
    short: Mapping[str, Trial], data_of: Callable[[Trial], Any]
) -> dict[str, WarmUpProgram]:
    by_kernels = {}
    for kernels, trial in short.items():
        # A trial without data reports that in its own record.
        with contextlib.suppress(DatasetUnavailable):
            by_kernels[kernels] = WarmUpProgram(kernels, trial.model_dump_json(), data_of(trial))
    return by_kernels


def _shorten(variant: Variant) -> Variant:
    one_device: Mapping[str, Any] = {
        "strategy": "one_device",
        "workers": 1,
        "replicas": 1,
        "threads": None,
        "placement": "pack",
        "all_reduce": "auto",
        "communication": "full",
        "global_batch_size": variant.per_replica_batch_size,
        "pipeline": "device" if variant.pipeline == "device" else "tfdata",
    }
    length = {"epochs": 1, "warmup_epochs": 0, "max_steps": _STEPS, "health_epochs": ()}
    return Variant.model_validate({**variant.model_dump(), **one_device, **length})
