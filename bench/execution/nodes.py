"""The nodes of the Ray cluster that this process has joined, and what each says of itself.

Usage:
    for node in alive_nodes(): ...
    raylet_here()                        # where the raylet of this process listens
    environments(cluster.cores_of)       # each node's, asked on all nodes at once
    on_each_node(question, argument)     # any other question, of no cores
    ask_nodes(nodes, question, argument) # the same of some nodes, answers by Ray's id
"""

import socket
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar

import ray
from ray._common.network_utils import build_address
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from bench.errors import ResourceError
from bench.measure.environment import environment

_CORES_S = 30.0
"""How long a node's cores are waited for; a cluster may be busy with somebody else's work."""
_ANSWER_S = 120.0

Node = dict[str, Any]
_Argument = TypeVar("_Argument")
_Answer = TypeVar("_Answer")


def alive_nodes() -> list[Node]:
    """Those that Ray has not lost, as it describes them."""
    return [node for node in ray.nodes() if node["Alive"]]


def raylet_here() -> str:
    """HOST:PORT of the raylet through which this process uses Ray."""
    here = ray.get_runtime_context().get_node_id()
    node = next(node for node in ray.nodes() if node["NodeID"] == here)
    return str(build_address(node["NodeManagerAddress"], node["NodeManagerPort"]))


def environments(cores_of: Callable[[str], float]) -> dict[str, Any]:
    """Each living node's environment, by its name (and address, where two share it).

    Asked with the cores of a trial, which ``cores_of`` a node's id, after which Ray sets
    variables such as OMP_NUM_THREADS; without variables where those cores are taken.
    ResourceError where a node does not answer.
    """
    nodes = alive_nodes()
    answers = _ask(nodes, cores_of, _CORES_S)
    busy = [node for node in nodes if node["NodeID"] not in answers]
    for node_id, (name, found) in _ask(busy, lambda _: 0.0, _ANSWER_S).items():
        answers[node_id] = name, {**found, "variables": None}
    by_name: dict[str, Any] = {}
    for node in nodes:
        address = node["NodeManagerAddress"]
        if node["NodeID"] not in answers:
            raise ResourceError(
                f"the node at {address} of the Ray cluster does not answer: "
                "start Ray there again, or go on without it"
            )
        name, found = answers[node["NodeID"]]
        by_name[f"{name} ({address})" if name in by_name else name] = found
    return by_name


def ask_nodes(
    nodes: Sequence[Node], question: Callable[..., _Answer], *arguments: Any
) -> dict[str, _Answer]:
    """What ``question`` answers on each of ``nodes``, by Ray's id; nothing of one that does not."""
    return _ask(nodes, lambda _: 0.0, _ANSWER_S, question, *arguments)


def on_each_node(
    question: Callable[[_Argument], _Answer],
    argument: _Argument,
    among: Collection[str] | None = None,
) -> list[_Answer]:
    """What ``question`` answers on each living node; nothing of one that does not answer.

    With ``among``, only nodes of these ids are asked.
    """
    nodes = [node for node in alive_nodes() if among is None or node["NodeID"] in among]
    return list(ask_nodes(nodes, question, argument).values())


def _node_environment() -> tuple[str, dict[str, Any]]:
    """This node's name and environment."""
    return socket.gethostname(), environment()


def _ask(
    nodes: Sequence[Node],
    cores_of: Callable[[str], float],
    timeout_s: float,
    question: Callable[..., Any] = _node_environment,
    *arguments: Any,
) -> dict[str, Any]:
    """The answers, by node, that come within ``timeout_s``."""
    asked = {}
    for node in nodes:
        node_id = node["NodeID"]
        near = NodeAffinitySchedulingStrategy(node_id, soft=False)
        task: Any = ray.remote(question)
        there = task.options(num_cpus=cores_of(node_id), scheduling_strategy=near)
        asked[node_id] = there.remote(*arguments)
    if not asked:
        return {}
    ready, _ = ray.wait(list(asked.values()), num_returns=len(asked), timeout=timeout_s)
    found: dict[str, Any] = {}
    for node_id, answer in asked.items():
        if answer not in ready:
            ray.cancel(answer)
            continue
        try:
            found[node_id] = ray.get(answer)
        except RayError:  # it was lost meanwhile
            continue
    return found
