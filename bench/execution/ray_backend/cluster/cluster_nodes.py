"""List the nodes of the joined Ray cluster, and run functions on them.

Usage:
    for node in alive_nodes(): ...
    raylet_here()                        # the address of this process's raylet
    environments(cluster.cores_of)       # of each node, from all nodes at once
    on_each_node(function, argument)     # the results of any function; reserves no cores
    ask_nodes(nodes, function, argument) # the same on some nodes, results by Ray's id
"""

import contextlib
import socket
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from bench.errors import ResourceError
from bench.execution.ray_backend.ray_compat import build_address
from bench.measure.environment import environment

_CORES_S = 30.0
"""How long to wait for a node's cores; other work may use the cluster."""
_ANSWER_S = 120.0

Node = dict[str, Any]
_Argument = TypeVar("_Argument")
_Answer = TypeVar("_Answer")


def alive_nodes() -> list[Node]:
    """Return the nodes that Ray has not lost, as it describes them."""
    return [node for node in ray.nodes() if node["Alive"]]


def raylet_here() -> str:
    """Return HOST:PORT of the raylet through which this process uses Ray."""
    here = ray.get_runtime_context().get_node_id()
    node = next(node for node in ray.nodes() if node["NodeID"] == here)
    return str(build_address(node["NodeManagerAddress"], node["NodeManagerPort"]))


def environments(cores_of: Callable[[str], float]) -> dict[str, Any]:
    """Return each node's environment, by its name (and address if two nodes share the name).

    The task that reads it reserves as many cores as a trial, ``cores_of(node_id)``, because Ray
    then sets variables such as OMP_NUM_THREADS. If those cores are occupied, the environment has no
    variables. Raises ResourceError if a node does not answer.
    """
    nodes = alive_nodes()
    answers = _ask(nodes, cores_of, _CORES_S)
    busy = [node for node in nodes if node["NodeID"] not in answers]
    for node_id, (name, described) in _ask(busy, lambda _: 0.0, _ANSWER_S).items():
        answers[node_id] = name, {**described, "variables": None}
    by_name: dict[str, Any] = {}
    for node in nodes:
        address = node["NodeManagerAddress"]
        if node["NodeID"] not in answers:
            raise ResourceError(
                f"the node at {address} of the Ray cluster does not answer: "
                "restart Ray there, or continue without that node"
            )
        name, described = answers[node["NodeID"]]
        by_name[f"{name} ({address})" if name in by_name else name] = described
    return by_name


def ask_nodes(
    nodes: Sequence[Node], question: Callable[..., _Answer], *arguments: Any
) -> dict[str, _Answer]:
    """Return the result of ``question`` on each of ``nodes`` that answers, by Ray's id."""
    return _ask(nodes, lambda _: 0.0, _ANSWER_S, question, *arguments)


def on_each_node(
    question: Callable[[_Argument], _Answer],
    argument: _Argument,
    among: Collection[str] | None = None,
) -> list[_Answer]:
    """Return the result of ``question`` on each node that answers.

    With ``among``, only nodes with these ids run it.
    """
    nodes = [node for node in alive_nodes() if among is None or node["NodeID"] in among]
    return list(ask_nodes(nodes, question, argument).values())


def _node_environment() -> tuple[str, dict[str, Any]]:
    """Return this node's name and environment."""
    return socket.gethostname(), environment()


def _ask(
    nodes: Sequence[Node],
    cores_of: Callable[[str], float],
    timeout_s: float,
    question: Callable[..., Any] = _node_environment,
    *arguments: Any,
) -> dict[str, Any]:
    """Return the results by node that arrive within ``timeout_s``."""
    references = {}
    for node in nodes:
        node_id = node["NodeID"]
        on_node = NodeAffinitySchedulingStrategy(node_id, soft=False)
        task: Any = ray.remote(question)
        task = task.options(num_cpus=cores_of(node_id), scheduling_strategy=on_node)
        references[node_id] = task.remote(*arguments)
    if not references:
        return {}
    ready, _ = ray.wait(list(references.values()), num_returns=len(references), timeout=timeout_s)
    results: dict[str, Any] = {}
    for node_id, reference in references.items():
        if reference not in ready:
            ray.cancel(reference)
            continue
        with contextlib.suppress(RayError):  # the node was lost meanwhile
            results[node_id] = ray.get(reference)
    return results
