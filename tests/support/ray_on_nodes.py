"""Run blocks on two local Ray nodes with four logical GPUs each, and print the results as JSON.

    python -m tests.support.ray_on_nodes

In a separate process, because a process can join only one cluster. No trial trains: each is skipped
once its block has its devices.
"""

import json
from collections.abc import Callable, Iterable
from typing import Any

import ray
from ray.cluster_utils import Cluster as Nodes
from ray.util import placement_group_table
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from bench.execution.executor import BlockWait, Event, Limits
from bench.execution.gpus.gpu_fitness import GpuAllotment
from bench.execution.ray_backend import ray_executor
from bench.execution.ray_backend.blocks import placement
from bench.execution.ray_backend.blocks.block_pool import BlockPool
from bench.execution.ray_backend.blocks.block_runner import BlockRunner
from bench.execution.ray_backend.ray_executor import RayExecutor
from bench.execution.scheduling.cluster import Cluster
from bench.execution.scheduling.resources import ResourceRequest
from bench.spec.plan import Block, make_plan
from tests.support.sample_suites import SINGLE, suite_of

PLACED = "it had its devices"


class Holder:
    """Other work on the cluster."""

    def ready(self) -> bool:
        """Whether it has begun."""
        return True


def occupy(gpus: int, nodes: Iterable[str]) -> list[Any]:
    """Occupy so many GPUs of each node."""
    actor: Any = ray.remote(Holder)
    near = [NodeAffinitySchedulingStrategy(node, soft=False) for node in nodes]
    options = {"num_cpus": 0, "num_gpus": gpus}
    actors = [actor.options(scheduling_strategy=node, **options).remote() for node in near]
    ray.get([each.ready.remote() for each in actors], timeout=120)
    return actors


def blocks(*gpus: int) -> list[Block]:
    """Blocks of a single trial each, which uses so many GPUs."""
    asked = ({"strategy": "mirrored", "replicas": n, "per_replica_batch_size": 8} for n in gpus)
    return [make_plan(suite_of(SINGLE, **settings)).blocks[0] for settings in asked]


def run(
    executor: RayExecutor,
    gpus: int,
    timeout_s: float = 3600.0,
    on_waiting: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Run one block; return its record's status and the reported waits."""
    reasons = list[str]()

    def on_event(event: Event) -> None:
        if isinstance(event, BlockWait):
            reasons.append(event.reason)
            on_waiting()

    limits = Limits(3600.0, placement_timeout_s=timeout_s, skip_reason=lambda _: PLACED)
    (record,) = executor.run(blocks(gpus), limits, on_event)
    return {"status": record.status, "error": record.error, "waiting": reasons}


def pinned() -> dict[str, Any]:
    """The nodes that blocks of 3, 3 and 2 GPUs were to have, and those that Ray gave them."""

    def open_runner(block: Block, request: ResourceRequest) -> BlockRunner:
        return BlockRunner(
            block, block, request, Limits(3600.0), print, lambda _: None, {}, GpuAllotment()
        )

    pool = BlockPool(Cluster(ray.nodes(), "auto"), blocks(3, 3, 2), open_runner)
    pool.start()
    ray.get([runner.placement.ready for runner in pool.runners], timeout=120)
    chosen = [runner.placement.request.nodes for runner in pool.runners]
    tables = [placement_group_table(runner.placement.group) for runner in pool.runners]
    pool.close()
    return {"chosen": chosen, "given": [[*t["bundles_to_node_id"].values()] for t in tables]}


def main() -> None:
    """Each case once."""
    placement._CHECK_S = ray_executor._POLL_S = 0.5
    nodes = Nodes(initialize_head=True, head_node_args={"num_cpus": 1, "num_gpus": 0})
    for _ in range(2):
        nodes.add_node(num_cpus=4, num_gpus=4)
    nodes.wait_for_nodes()
    results = {}
    with RayExecutor(nodes.address) as executor:
        ids = Cluster(ray.nodes(), "auto").nodes
        results["pinned"] = pinned()
        others = occupy(3, ids)
        results["in vain"] = run(executor, gpus=2, timeout_s=3.0)
        results["freed"] = run(executor, gpus=2, on_waiting=lambda: ray.kill(others[1]))
        ray.kill(others[0])
        others = occupy(1, ids[:1])
        results["moved"] = run(executor, gpus=4)
    nodes.shutdown()
    print(json.dumps(results))


if __name__ == "__main__":
    main()
