"""What is done on a running Ray cluster by a process of its own, as a token is read only once.

python -m tests.support.ray_cluster taken ADDRESS 0         # what is taken there, as JSON
python -m tests.support.ray_cluster taken ADDRESS 30        # what still is after half a minute
python -m tests.support.ray_cluster pretend ADDRESS 3.12.1  # have it say that this is its Python
"""

import json
import logging
import sys
import time
from typing import Any

import ray
from ray._common.usage import usage_constants
from ray._common.usage.usage_lib import GcsClient, get_cluster_metadata
from ray._private import ray_constants
from ray._private.state import actors, state
from ray.util import placement_group_table


def taken(address: str, patience_s: str) -> dict[str, Any]:
    """Resources (object store among them), placement groups and actors that are not free."""
    ray.init(address, logging_level=logging.ERROR, log_to_driver=False)
    ends = time.monotonic() + float(patience_s)
    while (found := _taken()) and time.monotonic() < ends:
        time.sleep(0.5)
    return found


def _taken() -> dict[str, Any]:
    had, free = ray.cluster_resources(), ray.available_resources()
    state._connect_and_get_accessor()
    groups = [group["state"] for group in placement_group_table().values()]
    living = [actor["State"] for actor in actors().values()]
    found = {
        "resources": [name for name, count in had.items() if free.get(name, 0) < count],
        "groups": [group for group in groups if group != "REMOVED"],
        "actors": [actor for actor in living if actor != "DEAD"],
    }
    return {kind: named for kind, named in found.items() if named}


def pretend(address: str, python: str) -> str:
    """Have the cluster say that its Python is another one; the one that it had said."""
    gcs = GcsClient(address=address)
    told = get_cluster_metadata(gcs)
    gcs.internal_kv_put(
        usage_constants.CLUSTER_METADATA_KEY,
        json.dumps({**told, "python_version": python}).encode(),
        True,
        ray_constants.KV_NAMESPACE_CLUSTER,
    )
    return str(told["python_version"])


if __name__ == "__main__":
    doing, *words = sys.argv[1:]
    print(json.dumps({"taken": taken, "pretend": pretend}[doing](*words)))
