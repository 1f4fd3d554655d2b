"""Start a run's progress actor, and pass what workers of groups report to their block runners.

Usage:
    collector = ProgressCollector()
    workers.train(data, collector.actor)
    collector.collect(pool.runners)
"""

import contextlib
from collections.abc import Sequence
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from bench.execution.ray_backend.blocks.block_pool import Runner
from bench.execution.ray_backend.blocks.block_runner import BlockRunner
from bench.execution.ray_backend.workers.progress_actor import ProgressActor

_COLLECT_S = 60.0
_LAST_COLLECT_S = 2.0


class ProgressCollector:
    """The driver's side of a progress actor, which Ray restarts whenever it dies."""

    def __init__(self) -> None:
        # On the driver's node: the run would lose an actor on a node that is lost.
        node_id = ray.get_runtime_context().get_node_id()
        actor_class: Any = ray.remote(ProgressActor)
        self.actor: Any = actor_class.options(
            num_cpus=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node_id, soft=False),
            max_restarts=-1,
        ).remote()

    def collect(self, runners: Sequence[Runner], timeout_s: float = _COLLECT_S) -> None:
        """Pass new updates to those of ``runners`` whose current trial they belong to."""
        running = {r.group_key: r for r in runners if isinstance(r, BlockRunner)}
        # The records repeat what a slow actor still has to report. An actor that died restarts
        # empty; the workers' files have the epochs that it held.
        with contextlib.suppress(GetTimeoutError, RayActorError):
            for update in ray.get(self.actor.drain.remote(), timeout=timeout_s):
                if update.group_key in running:
                    running[update.group_key].add_progress(update)

    def collect_last(self, runners: Sequence[Runner]) -> None:
        """Collect once more, briefly and without errors, because Ray may be ending too."""
        with contextlib.suppress(Exception):
            self.collect(runners, _LAST_COLLECT_S)

    def kill(self) -> None:
        """End the actor."""
        ray.kill(self.actor)
