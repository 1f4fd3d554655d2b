"""Check every node before a run's first trial.

Usage:
    reason = preflight(blocks, cluster, nodes, modules, network, on_event)
    # ResourceError if trials cannot run; the reason if every trial would fail
"""

import functools
from collections.abc import Sequence
from pathlib import Path

from bench.execution.custom_workloads.workload_check import check_on_nodes
from bench.execution.executor import OnEvent, OpenServer
from bench.execution.gpus.gpu_support import check_gpus
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
    modules: Sequence[Path],
    network: str | None,
    on_event: OnEvent,
) -> str | None:
    """Check the ``nodes`` of ``cluster`` for ``blocks``; return why all trials would fail, or None.

    Raises ResourceError if a node lacks the module of a workload, has GPUs that cannot train, or
    has variables or too few cores for the trials, or if workers would run on several nodes and no
    ``network`` is named for them. Reports to ``on_event`` what trials open to the network.
    """
    trials = [trial for block in blocks for trial in block.trials]
    if any(cluster.shape_of(block).bundles > 1 for block in blocks):
        on_event(open_between(nodes, network, ask_nodes))
    elif any(trial.variant.workers > 1 for trial in trials):
        on_event(OpenServer())
    check_on_nodes(trials, on_each_node, modules)
    check_inherited(blocks, cluster, ask_nodes(nodes, inherited_by_workers))
    if cluster.has_gpus:
        check_gpus(functools.partial(on_each_node, among=cluster.nodes))
    refused = ask_nodes(nodes, refused_xla_flags).values()
    return next(filter(None, refused), None)
