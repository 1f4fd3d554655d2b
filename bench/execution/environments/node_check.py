"""Check on a node that trials can run under the environments that the driver has prepared.

Usage:
    reason = environment_problem(environments, driver_host)     # runs on the node
    check_one_worker(blocks, environments)

A node needs a folder of a worktree at the same path, so that nodes must share the file system of
the user's cache, and an interpreter with the same versions at the same path.
"""

import os
import socket
from collections.abc import Iterable, Mapping

from bench.errors import ResourceError
from bench.execution.environments.interpreter import check_interpreter
from bench.execution.prepared_environment import PreparedEnvironment
from bench.spec.plan import Block


def environment_problem(environments: Mapping[str, PreparedEnvironment], driver: str) -> str | None:
    """Return why this machine cannot run trials under ``environments``; None if it can.

    ``driver`` is the name of the machine that has prepared them.
    """
    host = socket.gethostname()
    for environment in environments.values():
        if reason := _problem(environment, is_driver=host == driver):
            return f"environment {environment.name!r} on node {host}: {reason}"
    return None


def check_one_worker(
    blocks: Iterable[Block], environments: Mapping[str, PreparedEnvironment]
) -> None:
    """Raise ResourceError if trials of several workers share a block with another interpreter.

    Their workers are processes of Ray, which run under the run's own.
    """
    for block in blocks:
        if all(trial.variant.workers == 1 for trial in block.trials):
            continue
        for name in {trial.variant.environment for trial in block.trials}:
            environment = environments.get(name)
            if environment and {"python", "revision"} & {*environment.sets}:
                raise ResourceError(
                    f"environment {name!r} sets python or revision, which trials of several "
                    "workers and those compared with them cannot have: set workers to 1"
                )


def _problem(environment: PreparedEnvironment, *, is_driver: bool) -> str | None:
    for path in (environment.package, *(environment.modules or ())):
        if path is not None and not path.exists():
            return f"no {path} there: keep the cache (BENCH_CACHE_DIR) on storage that nodes share"
    interpreter = environment.interpreter
    if interpreter is None or is_driver:
        return None
    if not os.access(interpreter, os.X_OK):
        return f"no interpreter {interpreter} there: install it at the same path on every node"
    try:
        found = check_interpreter(
            interpreter, environment.package, {**os.environ, **environment.variables}
        )
    except ResourceError as error:
        return str(error)
    different = [
        f"{name} {found.versions.get(name)} instead of {version}"
        for name, version in environment.versions.items()
        if found.versions.get(name) != version
    ]
    return f"{', '.join(different)}: install the same versions" if different else None
