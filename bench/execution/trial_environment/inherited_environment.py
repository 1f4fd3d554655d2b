"""Check that trials can train as a suite says with what they inherit from their node.

Usage:
    check_conflicts(inherited_environment())               # ResourceError that names the variable
    check_inherited(blocks, cluster, {node: inherited_environment()})

A thread variable that trials would override is refused if the suite does not set ``threads``,
because the user who set the variable expects it to take effect.
"""

import os
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.errors import ResourceError
from bench.execution.scheduling.cluster import Cluster
from bench.execution.scheduling.resources import ResourceRequest
from bench.execution.trial_environment.conflicting_settings import (
    conflicting_setting,
    python_conflict,
)
from bench.measure.host import usable_cores
from bench.spec.plan import Block
from bench.spec.variant import Variant

THREAD_VARIABLES = (
    *("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"),
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS"),
)
"""Variables that set how many threads TensorFlow and its libraries compute with."""


@dataclass(frozen=True)
class InheritedEnvironment:
    """What a node's trials inherit."""

    host: str
    conflict: str | None
    """A setting that contradicts trials, and what to change; None if there is none."""
    threads: Mapping[str, str]
    """The variables of ``THREAD_VARIABLES`` that are set."""
    usable_cores: int


def inherited_environment(environ: Mapping[str, str] = os.environ) -> InheritedEnvironment:
    """Return what a process with ``environ`` inherits on this machine."""
    threads = {name: environ[name] for name in THREAD_VARIABLES if environ.get(name)}
    return InheritedEnvironment(
        socket.gethostname(),
        python_conflict() or conflicting_setting(environ),
        threads,
        usable_cores(),
    )


def inherited_by_workers() -> InheritedEnvironment:
    """Return what this node's trials inherit; runs in a Ray worker."""
    import ray

    runtime_variables = ray.get_runtime_context().runtime_env.get("env_vars") or {}
    return inherited_environment(worker_environment(os.environ, runtime_variables))


def worker_environment(
    environ: Mapping[str, str], runtime_variables: Mapping[str, str]
) -> dict[str, str]:
    """Return a worker's ``environ`` without the OMP_NUM_THREADS that Ray adds if it is not set.

    The worker's parent does not have the ``runtime_variables`` of Ray's runtime environment.
    """
    inherited = dict(environ)
    names = runtime_variables.keys() | _parent_variables()
    if "OMP_NUM_THREADS" not in names:
        inherited.pop("OMP_NUM_THREADS", None)
    return inherited


def _parent_variables() -> set[str]:
    """Return the names of the parent process's variables; none if they cannot be read."""
    try:
        entries = Path(f"/proc/{os.getppid()}/environ").read_bytes().split(b"\0")
    except OSError:
        return set()
    return {os.fsdecode(entry).partition("=")[0] for entry in entries}


def check_conflicts(inherited: InheritedEnvironment) -> None:
    """Raise ResourceError if trials on a node inherit a setting that contradicts them."""
    if inherited.conflict:
        raise ResourceError(f"node {inherited.host}: {inherited.conflict}")


def check_inherited(
    blocks: Iterable[Block], cluster: Cluster, environments: Mapping[str, InheritedEnvironment]
) -> None:
    """Raise ResourceError if trials cannot train as the suite says in the nodes' environments.

    ``environments`` are by Ray's node id. A node is refused if a variable contradicts the suite, if
    it has fewer cores than ``threads``, or if the suite does not set ``threads`` and a variable
    sets a number of threads other than the default.
    """
    for inherited in environments.values():
        check_conflicts(inherited)
    repeated = {frozenset(t.variant_id for t in block.trials): block for block in blocks}
    for block in repeated.values():
        variants = [trial.variant for trial in block.trials]
        sets_threads = any(variant.threads is not None for variant in variants)
        for node, inherited in environments.items():
            if sets_threads or inherited.threads:
                request = cluster.request_for(block, [node])
                for variant in variants:
                    _check_threads(variant, request, inherited)


def _check_threads(
    variant: Variant, request: ResourceRequest, inherited: InheritedEnvironment
) -> None:
    share, where = request.share_of(variant), f"on node {inherited.host}"
    if variant.threads is None:
        check_thread_variables(inherited, share)
        return
    workers = max(1, round(request.bundles[0]["CPU"] / request.cores_of(variant)))
    cores = min(share, inherited.usable_cores // workers)
    if variant.threads > cores:
        raise ResourceError(
            f"threads {variant.threads} is more than the {cores} cores that a worker has {where}: "
            "lower threads or workers"
        )


def check_thread_variables(inherited: InheritedEnvironment, threads: int) -> None:
    """Raise ResourceError if a variable sets a number other than a trial's ``threads``."""
    for name, value in inherited.threads.items():
        if value not in ("0", str(threads)):
            raise ResourceError(
                f"{name}={value} on node {inherited.host}, but a trial there computes with "
                f"{threads} threads: unset it, or set threads in the suite"
            )
