"""Test whether Ray works here, in a separate process that starts what a run starts.

    python -m bench.execution.ray_backend.process.ray_probe [ADDRESS]

Starts a local Ray, or joins the cluster at ADDRESS, has a worker describe every node, and shuts
down. Prints one line of JSON at the end: "nodes" by name, or "error".
"""

import json
import sys
from typing import Any

from bench.errors import BenchError


def probe(address: str | None) -> dict[str, Any]:
    """Return the environment of each node, or the error, as plain data."""
    try:
        from bench.execution.ray_backend.ray_executor import RayExecutor

        with RayExecutor(address) as executor:
            return {"error": None, "nodes": executor.environment()}
    except BenchError as error:
        return {"error": str(error), "expected": True}
    except Exception as error:  # a damaged installation may raise anything
        return {"error": f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]}


if __name__ == "__main__":
    reply = probe(sys.argv[1] if len(sys.argv) > 1 else None)
    print("\n" + json.dumps(reply), flush=True)
