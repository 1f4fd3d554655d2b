"""Wait until all nodes of a starting Ray cluster have joined.

Usage:
    python -m bench.execution.launching.wait_for_nodes 4 --address auto --timeout-s 600

Ray reports a cluster as started once its head is; a run plans for the nodes that it finds. If a
node is still missing at the end, one line says so and the exit code is 2.
"""

import argparse
import logging
import sys
import time

import ray

from bench.errors import ResourceError
from bench.execution.ray_backend.cluster.head_address import resolve_address

TIMEOUT_S = 600.0
_POLL_S = 1.0


def wait_for_nodes(count: int, address: str, timeout_s: float = TIMEOUT_S) -> None:
    """Return once ``count`` nodes of the cluster at ``address`` are alive, including the head.

    Raises ResourceError if no Ray answers there, or nodes are missing, after ``timeout_s``.
    """
    deadline = time.monotonic() + timeout_s
    ray.init(address=_wait_for_head(address, deadline), logging_level=logging.ERROR)
    try:
        while (alive := sum(node["Alive"] for node in ray.nodes())) < count:
            if time.monotonic() > deadline:
                raise ResourceError(
                    f"only {alive} of {count} nodes joined the Ray cluster within {timeout_s:g} s: "
                    "check why Ray did not start on the others, or request fewer"
                )
            time.sleep(_POLL_S)
    finally:
        ray.shutdown()


def _wait_for_head(address: str, deadline: float) -> str:
    while True:
        try:
            return resolve_address(address)
        except ResourceError:
            if time.monotonic() > deadline:
                raise
        time.sleep(_POLL_S)


def main() -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.execution.launching.wait_for_nodes")
    parser.add_argument("count", type=int)
    parser.add_argument("--address", default="auto")
    parser.add_argument("--timeout-s", type=float, default=TIMEOUT_S)
    arguments = parser.parse_args()
    try:
        wait_for_nodes(arguments.count, arguments.address, arguments.timeout_s)
    except ResourceError as error:
        sys.stderr.write(f"bench: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
