"""Check every node before a run's first trial.

Usage:
    reason = preflight(blocks, cluster, nodes, allotment, on_event)
    # ResourceError if trials cannot run; the reason if every trial would fail
"""

import functools
import socket
from collections.abc import Mapping, Sequence

from bench.errors import ResourceError
from bench.execution.custom_workloads.workload_check import check_on_nodes
from bench.execution.environments.node_check import check_one_worker, environment_problem
from bench.execution.executor import OnEvent, OpenServer
from bench.execution.gpus.gpu_fitness import GpuAllotment
from bench.execution.gpus.gpu_support import check_gpus
from bench.execution.prepared_environment import PreparedEnvironment
from bench.execution.ray_backend.cluster.cluster_nodes import Node, ask_nodes, on_each_node
from bench.execution.ray_backend.cluster.peer_network import open_between
from bench.execution.scheduling.cluster import Cluster
from bench.execution.subprocess_probe import refused_xla_flags
from bench.execution.trial_environment.inherited_environment import (
    check_inherited,
    inherited_by_workers,
)
from bench.spec.plan import Block


def preflight(
    blocks: Sequence[Block],
    cluster: Cluster,
    nodes: Sequence[Node],
    allotment: GpuAllotment,
    on_event: OnEvent,
) -> str | None:
    """Check the ``nodes`` of ``cluster`` for ``blocks``; return why all trials would fail, or None.

    Raises ResourceError if a node lacks the module of a workload or an environment, has GPUs that
    cannot train, or has variables or too few cores for the trials, or if workers would run on
    several nodes and the ``allotment`` names no network for them. Reports to ``on_event`` what
    trials open to the network.
    """
    trials = [trial for block in blocks for trial in block.trials]
    if any(cluster.shape_of(block).bundles > 1 for block in blocks):
        on_event(open_between(nodes, allotment.network, ask_nodes))
    elif any(trial.variant.workers > 1 for trial in trials):
        on_event(OpenServer())
    check_on_nodes(trials, on_each_node, allotment.modules)
    _check_environments(blocks, nodes, allotment.environments)
    check_inherited(blocks, cluster, ask_nodes(nodes, inherited_by_workers))
    if cluster.has_gpus:
        check_gpus(functools.partial(on_each_node, among=cluster.nodes))
    refused = ask_nodes(nodes, refused_xla_flags).values()
    return next(filter(None, refused), None)


def _check_environments(
    blocks: Sequence[Block], nodes: Sequence[Node], environments: Mapping[str, PreparedEnvironment]
) -> None:
    """Raise ResourceError if a node cannot run trials under one of the environments."""
    check_one_worker(blocks, environments)
    if environments:
        problems = ask_nodes(nodes, environment_problem, environments, socket.gethostname())
        for problem in filter(None, problems.values()):
            raise ResourceError(problem)
