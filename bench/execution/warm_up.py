"""GPUs whose code is compiled at first use, warmed up on each node before a run's first trial.

Usage:
    warm_up(cluster, usable, trials, data_of, limits, head, on_event)

For compute capability 9.0 and later TensorFlow's kernels are PTX (``gpu_support``), which the
driver compiles when a kernel is first used, and keeps in a cache on disk (``gpu_cache``).
Without a warm-up that time is in the cold start and the validation of whichever arm comes first.
So a process of its own trains a few steps of each program of the run, once on each node and kind
of GPU, untimed and unrecorded. What fails there fails in its own trial, too, and is told by that
one's record.
"""

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ray._private.state import available_resources_per_node

from bench.execution.cluster import Cluster
from bench.execution.executor import Limits, NotWarmedUp, OnEvent, WarmingUp
from bench.execution.gpu_support import compiles_at_first_use
from bench.execution.nodes import alive_nodes, ask_nodes
from bench.execution.reservation import Reservation
from bench.execution.shelf import NoData
from bench.execution.warming import Program, Warming, warm_all
from bench.spec.plan import Trial
from bench.spec.timing import Timing
from bench.spec.variant import Variant

_STEPS = 2
_UNTIMED = Timing(warmup_s=0.0, min_timing_s=0.0)
_SIZES = frozenset(
    {"hidden", "depth", "filters", "examples", "global_batch_size", "learning_rate"}
    | {"clip_threshold", "max_steps", "epochs", "warmup_epochs"}
)
"""Settings that choose no other kernels of TensorFlow's."""


def warm_up(
    cluster: Cluster,
    usable: Collection[str],
    trials: Iterable[Trial],
    data_of: Callable[[Trial], Any],
    limits: Limits,
    head: str,
    on_event: OnEvent,
) -> None:
    """Train a few steps of each program on each node that needs it; tell what was not warmed up.

    ``usable`` are the UUIDs of the GPUs that nobody else uses; ``data_of`` gives a reference to a
    trial's data in Ray's object store. Nodes whose GPUs other work on the cluster holds are left
    out: what trains there first compiles for the others. ConnectionError where Ray's ``head`` is
    silent.
    """
    nodes = {node["NodeID"]: node for node in alive_nodes() if node["NodeID"] in cluster.nodes}
    cards = ask_nodes(list(nodes.values()), cards_to_warm, list(usable))
    shares = {node: _share(cluster, node, cold) for node, cold in cards.items() if cold.uuids}
    if not shares:
        return
    short = list(_with_data(programs(trials), data_of))
    free = available_resources_per_node()
    fitting = {node: share for node, share in shares.items() if _fits(share, free.get(node, {}))}
    for node in shares.keys() - fitting.keys():
        host = nodes[node]["NodeManagerHostname"]
        on_event(NotWarmedUp(host, len(short), "other work on the cluster holds its GPUs"))
    if not fitting or not short:
        return
    on_event(WarmingUp(len(fitting), len(short)))
    warmings = [
        Warming(
            nodes[node]["NodeManagerHostname"],
            Reservation((share,), "PACK", (node,)),
            dict.fromkeys(cards[node].uuids if cards[node].mixed else [None], short),
            limits,
            on_event,
        )
        for node, share in fitting.items()
    ]
    warm_all(warmings, head)


@dataclass(frozen=True)
class ColdCards:
    """The GPUs of a node that are to be warmed up."""

    uuids: tuple[str, ...] = ()
    """The first of each kind; of a card split by MIG, an instance."""
    mixed: bool = False
    """Whether Ray could give another kind of GPU instead."""


def cards_to_warm(usable: Sequence[str]) -> ColdCards:
    """Those of this node."""
    from bench.measure.environment import environment
    from bench.training.cuda_libraries import has_driver

    return cold_cards(environment()["gpus"], usable) if has_driver() else ColdCards()


def cold_cards(cards: Iterable[Mapping[str, Any]], usable: Collection[str]) -> ColdCards:
    """Of an environment's ``cards`` those that are ``usable`` and compile at first use."""
    first: dict[str, str] = {}
    kinds = set()
    for card in cards:
        uuids = [card["uuid"], *(instance["uuid"] for instance in card["instances"])]
        free = [uuid for uuid in uuids if uuid in usable]
        if free:
            kinds.add(card["name"])
            if compiles_at_first_use(card):
                first.setdefault(card["name"], free[0])
    return ColdCards(tuple(first.values()), len(kinds) > 1)


def _share(cluster: Cluster, node: str, cold: ColdCards) -> dict[str, float]:
    """What of a node a warm-up takes: all GPUs where Ray could give the wrong one."""
    gpus = cluster.sizes[node] if cold.mixed else 1
    return {"GPU": float(gpus), "CPU": cluster.cores_of(node) * gpus}


def _fits(share: Mapping[str, float], free: Mapping[str, float]) -> bool:
    return all(free.get(name, 0.0) >= amount for name, amount in share.items())


def programs(trials: Iterable[Trial]) -> list[Trial]:
    """One short trial on one device for each set of kernels that ``trials`` use."""
    found: dict[str, Trial] = {}
    for trial in trials:
        variant = _shortened(trial.variant)
        kernels = {k: v for k, v in variant.canonical().items() if k not in _SIZES}
        short = trial.model_copy(update={"variant": variant, "timing": _UNTIMED})
        found.setdefault(repr(sorted(kernels.items())), short)
    # Determinism, once on in a process, stays on.
    return sorted(found.values(), key=lambda trial: trial.variant.deterministic)


def _with_data(trials: Iterable[Trial], data_of: Callable[[Trial], Any]) -> Iterator[Program]:
    for trial in trials:
        # A trial without data says so in its own record.
        with contextlib.suppress(NoData):
            yield Program(trial.model_dump_json(), data_of(trial))


def _shortened(variant: Variant) -> Variant:
    alone: Mapping[str, Any] = {
        "strategy": "one_device",
        "workers": 1,
        "replicas": 1,
        "placement": "pack",
        "all_reduce": "auto",
        "communication": "full",
        "global_batch_size": variant.per_replica_batch_size,
        "pipeline": "device" if variant.pipeline == "device" else "tfdata",
    }
    brief = {"epochs": 1, "warmup_epochs": 0, "max_steps": _STEPS, "health_epochs": ()}
    return Variant.model_validate({**variant.model_dump(), **alone, **brief})
