"""What trials inherit from their node, and whether they can train with it as a suite says.

Usage:
    check_conflicts(inherited_environment())               # ResourceError that names the variable
    check_inherited(blocks, cluster, {node: inherited_environment()})

Of variables for threads, one that trials would override is refused, where the suite does not say
``threads``: whoever set it expects that it acts.
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
"""How many threads TensorFlow and the libraries below it compute with."""


@dataclass(frozen=True)
class InheritedEnvironment:
    """What the trials of a node start with."""

    host: str
    conflict: str | None
    """What trials cannot heed, and what to change; None where there is no such thing."""
    threads: Mapping[str, str]
    """The variables of ``THREAD_VARIABLES`` that are set."""
    usable_cores: int


def inherited_environment(environ: Mapping[str, str] = os.environ) -> InheritedEnvironment:
    """What a process with ``environ`` inherits on this machine."""
    threads = {name: environ[name] for name in THREAD_VARIABLES if environ.get(name)}
    return InheritedEnvironment(
        socket.gethostname(),
        python_conflict() or conflicting_setting(environ),
        threads,
        usable_cores(),
    )


def inherited_by_workers() -> InheritedEnvironment:
    """What this node's trials inherit, asked in a worker of Ray's."""
    import ray

    given = ray.get_runtime_context().runtime_env.get("env_vars") or {}
    return inherited_environment(worker_environment(os.environ, given))


def worker_environment(environ: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """``environ`` of a worker without the OMP_NUM_THREADS that Ray sets where there is none.

    Of ``given``, the variables of Ray's runtime environment, the worker's parent knows nothing.
    """
    found = dict(environ)
    if "OMP_NUM_THREADS" not in given and "OMP_NUM_THREADS" not in _variables_of_parent():
        found.pop("OMP_NUM_THREADS", None)
    return found


def _variables_of_parent() -> set[str]:
    """Names of those that the process which started this one has; none where it does not tell."""
    try:
        entries = Path(f"/proc/{os.getppid()}/environ").read_bytes().split(b"\0")
    except OSError:
        return set()
    return {os.fsdecode(entry).partition("=")[0] for entry in entries}


def check_conflicts(found: InheritedEnvironment) -> None:
    """ResourceError where trials on a node inherit what they cannot heed."""
    if found.conflict:
        raise ResourceError(f"node {found.host}: {found.conflict}")


def check_inherited(
    blocks: Iterable[Block], cluster: Cluster, found: Mapping[str, InheritedEnvironment]
) -> None:
    """ResourceError where trials cannot train as the suite says with what is ``found`` on nodes.

    By Ray's id of a node. That is where a variable contradicts the suite, where there are fewer
    cores than ``threads``, and where a variable asks for other threads than a silent suite gives.
    """
    for inherited in found.values():
        check_conflicts(inherited)
    repeated = {frozenset(t.variant_id for t in block.trials): block for block in blocks}
    for block in repeated.values():
        variants = [trial.variant for trial in block.trials]
        asked = any(variant.threads is not None for variant in variants)
        for node, inherited in found.items():
            if asked or inherited.threads:
                reservation = cluster.request_for(block, [node])
                for variant in variants:
                    _check_threads_of(variant, reservation, inherited)


def _check_threads_of(
    variant: Variant, reservation: ResourceRequest, inherited: InheritedEnvironment
) -> None:
    share, where = reservation.share_of(variant), f"on node {inherited.host}"
    if variant.threads is None:
        check_thread_variables(inherited, share)
        return
    workers = max(1, round(reservation.bundles[0]["CPU"] / reservation.needs(variant)["CPU"]))
    cores = min(share, inherited.usable_cores // workers)
    if variant.threads > cores:
        raise ResourceError(
            f"threads {variant.threads} is more than the {cores} cores that a worker has {where}: "
            "lower threads or workers"
        )


def check_thread_variables(inherited: InheritedEnvironment, threads: int) -> None:
    """ResourceError where a variable asks for other than the ``threads`` that a trial has."""
    for name, value in inherited.threads.items():
        if value not in ("0", str(threads)):
            raise ResourceError(
                f"{name}={value} on node {inherited.host}, but a trial there computes with "
                f"{threads} threads: unset it, or set threads in the suite"
            )
