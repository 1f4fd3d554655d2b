"""A cluster of nodes whose cards are a library's: which of them a run uses, as JSON.

    python -m tests.support.ray_on_mixed_gpus

In a process of its own, since a process joins one cluster. One node has four cards of which one is
busy, one has a card that is split, one hides its card.
"""

import json
from collections.abc import Iterable
from typing import Any

import ray
from ray.cluster_utils import Cluster as Nodes
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from bench.execution.gpus.gpu_fitness import GpuSnapshot, NodeSnapshot
from bench.execution.ray_backend.gpus import gpu_quarantine
from bench.execution.ray_backend.gpus.gpu_quarantine import GpuHolder, GpuQuarantine
from bench.execution.ray_backend.ray_executor import RayExecutor

NODES = {
    "busy": {"FAKE_GPUS": "4", "FAKE_NVML_COMPUTING": "1234"},
    "split": {"FAKE_GPUS": "1", "FAKE_MIG": "0"},
    "hidden": {"FAKE_GPUS": "1", "CUDA_VISIBLE_DEVICES": "-1"},
}


def main() -> dict[str, Any]:
    """What the executor makes of the nodes, and which GPUs Ray still gives to others."""
    gpu_quarantine._START_FREE_S = 0.5
    gpu_quarantine._HOLD_S = 60.0  # on a slow machine, too
    nodes = Nodes(initialize_head=True, head_node_args={"num_cpus": 1, "num_gpus": 0})
    ids = {}
    for name, variables in NODES.items():
        count = int(variables["FAKE_GPUS"])
        ids[nodes.add_node(num_cpus=4, num_gpus=count, env_vars=variables).node_id] = name
    nodes.wait_for_nodes()
    with RayExecutor(nodes.address) as executor:
        found = executor._quarantine
        node = next(node for node, name in ids.items() if name == "busy")
        result: dict[str, Any] = {
            "sizes": {ids[node]: size for node, size in executor._cluster.sizes.items()},
            "used": executor.gpus,
            "left_out": [left.devices for left in found.left_out],
            "held": names_of(found._holders[node].values()),
            "given": names_given(node, 3),
        }
        # Its holder is lost, and Ray gives the card to a trial, which finds it busy once more.
        ray.kill(found._holders[node]["3"])
        again = found.add(
            node, "busy", [GpuSnapshot("3", unfit="busy"), GpuSnapshot("1", unfit="busy")]
        )
        result["told"] = [left.devices for left in again]
        result["counts"] = found.counts[node]
        result["then held"] = names_of(found._holders[node].values())
        result["then given"] = names_given(node, 2)
        # Somebody has the other two of Ray, and computes on them.
        others = others_on(node, 2)
        names_of(others)
        seen = NodeSnapshot("busy", tuple(GpuSnapshot(name, unfit="busy") for name in ("0", "2")))
        result["of others"] = GpuQuarantine({node: seen}).counts[node]
    nodes.shutdown()
    return result


def others_on(node: str, count: int) -> list[Any]:
    """Actors of somebody else's with a GPU each."""
    actor: Any = ray.remote(GpuHolder)
    near = NodeAffinitySchedulingStrategy(node, soft=False)
    return [
        actor.options(num_cpus=0, num_gpus=1, scheduling_strategy=near).remote()
        for _ in range(count)
    ]


def names_given(node: str, count: int) -> list[str]:
    """Ray's names of the GPUs that ``count`` actors of somebody else's get on ``node``."""
    actors = others_on(node, count)
    names = names_of(actors)
    for each in actors:
        ray.kill(each)
    return names


def names_of(actors: Iterable[Any]) -> list[str]:
    """Ray's names of the GPUs that living actors have."""
    answers = ray.get([each.names.remote() for each in actors], timeout=60)
    return sorted(name for answer in answers for name in answer)


if __name__ == "__main__":
    print("\n" + json.dumps(main()))
