"""Say where a process of this package runs in a Ray cluster.

Usage:
    location = locate_process(log)
"""

import os
import socket
from dataclasses import dataclass
from pathlib import Path

import ray
from ray.util import get_node_ip_address

from bench.measure.host import cgroup_oom_kills


@dataclass(frozen=True)
class WorkerLocation:
    """Where a worker runs, with what is needed to find its log after it has died."""

    node: str
    node_id: str
    pid: int
    """Of the process that holds its devices."""
    host: str
    """Ray's address of the machine."""
    address: str | None
    """IP address for peers on other machines; None if no network is named for them."""
    log: str
    oom_kills: int | None
    """Processes that the kernel has killed so far at this control group's memory limit."""


def log_folder() -> Path | None:
    """Return Ray's folder of logs, which Ray deletes if nobody else is left to do so."""
    context = ray.get_runtime_context()
    logs = Path(context.get_temp_dir()) / context.get_session_name() / "logs"
    return logs if logs.is_dir() else None


def locate_process(log: str, address: str | None = None) -> WorkerLocation:
    """Return where this process runs; the other fields are the arguments."""
    return WorkerLocation(
        node=socket.gethostname(),
        node_id=ray.get_runtime_context().get_node_id(),
        pid=os.getpid(),
        host=get_node_ip_address(),
        address=address,
        log=log,
        oom_kills=cgroup_oom_kills(),
    )
