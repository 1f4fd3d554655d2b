"""GPUs whose code is compiled at first use, warmed up on each node before a run's first trial.

Usage:
    warm_up(cluster, usable, trials, data_of, timeout_s, on_event)

For compute capability 9.0 and later TensorFlow's kernels are PTX (``gpu_support``), which the
driver compiles when a kernel is first used, and keeps in a cache on disk (``gpu_cache``).
Without a warm-up that time is in the cold start and the validation of whichever arm comes first.
So a process of its own trains a few steps of each program of the run, once on each node and kind
of GPU, untimed and unrecorded. What fails there fails in its own trial, too, and is told by that
one's record.
"""

import contextlib
import functools
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import ray
from ray._private.state import available_resources_per_node
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from bench.execution.cluster import Cluster
from bench.execution.executor import OnEvent, WarmingUp
from bench.execution.gpu_cache import set_cache
from bench.execution.gpu_support import compiles_at_first_use
from bench.execution.nodes import alive_nodes, ask_nodes
from bench.execution.shelf import NoData
from bench.execution.visibility import assigned, show_only
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
    timeout_s: float,
    on_event: OnEvent,
) -> None:
    """Train a few steps of each program on each node that needs it; at most for ``timeout_s``.

    ``usable`` are the UUIDs of the GPUs that nobody else uses; ``data_of`` gives a reference to a
    trial's data in Ray's object store. Nodes whose GPUs other work on the cluster holds are left
    out: what trains there first compiles for the others.
    """
    nodes = [node for node in alive_nodes() if node["NodeID"] in cluster.nodes]
    cards = ask_nodes(nodes, cards_to_warm, list(usable))
    shares = {node: _share(cluster, node, uuids) for node, uuids in cards.items() if uuids}
    free = available_resources_per_node()
    shares = {node: s for node, s in shares.items() if _fits(s, free.get(node, {}))}
    if not shares:
        return
    short = dict(_with_data(programs(trials), data_of))
    on_event(WarmingUp(len(shares), len(short)))
    actor_class: Any = ray.remote(Trainer)
    trainers = [
        actor_class.options(
            num_cpus=share["CPU"],
            num_gpus=share["GPU"],
            max_restarts=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
        ).remote(uuid)
        for node, share in shares.items()
        for uuid in (cards[node] if len(cards[node]) > 1 else [None])
    ]
    _train_all(trainers, short, timeout_s)


class Trainer:
    """A process that trains on one GPU, of which nothing is kept."""

    def __init__(self, uuid: str | None) -> None:
        # Without a name it is the GPU that Ray gave.
        show_only([uuid] if uuid else assigned())
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
        set_cache(os.environ)

    def train(self, trials_json: Sequence[str], *arrays: Any) -> list[str]:
        """The statuses of trials, trained one after another, each on its own of ``arrays``."""
        from bench.measure.host import usable_cores
        from bench.training.trial import train

        trials = [Trial.model_validate_json(text) for text in trials_json]
        return [
            train(trial, load=functools.partial(_given, loaded), threads=usable_cores()).status
            for trial, loaded in zip(trials, arrays, strict=True)
        ]


def _train_all(trainers: Iterable[Any], short: Mapping[str, Any], timeout_s: float) -> None:
    """Have each train; end it then, since those that wait for its GPU get it only so."""
    waiting = {each.train.remote(list(short), *short.values()): each for each in trainers}
    ends_at = time.monotonic() + timeout_s
    try:
        while waiting and (left_s := ends_at - time.monotonic()) > 0:
            ready, _ = ray.wait(list(waiting), timeout=left_s)
            for answer in ready:
                ray.kill(waiting.pop(answer), no_restart=True)
    finally:
        for trainer in waiting.values():
            ray.kill(trainer, no_restart=True)


def cards_to_warm(usable: Sequence[str]) -> list[str]:
    """The first GPU of each kind on this node that is ``usable`` and compiles at first use.

    Of a card split by MIG, an instance.
    """
    from bench.measure.environment import environment
    from bench.training.cuda_libraries import has_driver

    first: dict[str, str] = {}
    for card in environment()["gpus"] if has_driver() else ():
        uuids = [card["uuid"], *(instance["uuid"] for instance in card["instances"])]
        free = [uuid for uuid in uuids if uuid in usable]
        if free and compiles_at_first_use(card):
            first.setdefault(card["name"], free[0])
    return list(first.values())


def _share(cluster: Cluster, node: str, kinds: Sequence[str]) -> dict[str, float]:
    """What of a node a warm-up takes: all GPUs where it has to choose among kinds of them."""
    gpus = 1 if len(kinds) == 1 else cluster.sizes[node]
    return {"GPU": gpus, "CPU": cluster.cores_of(node) * gpus}


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


def _with_data(
    trials: Iterable[Trial], data_of: Callable[[Trial], Any]
) -> Iterator[tuple[str, Any]]:
    for trial in trials:
        # A trial without data says so in its own record.
        with contextlib.suppress(NoData):
            yield trial.model_dump_json(), data_of(trial)


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


def _given(arrays: Any) -> Any:
    return arrays
