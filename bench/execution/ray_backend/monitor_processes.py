"""The processes of a local Ray that look on, ended: each look takes time of a trial's cores.

Usage:
    ray.init("local", ...)
    stop_monitor_processes()

They hand logs to drivers, show a dashboard and ask for further nodes, ten times a second at
worst: 1 % of a core, and of an epoch on two cores about as much. None has anything to do where
one driver has a machine to itself and keeps its workers' logs. A cluster that is joined keeps its.
"""

import contextlib

from ray._private import worker

_ONLOOKERS = ("kill_log_monitor", "kill_monitor", "kill_dashboard")


def stop_monitor_processes() -> None:
    """End those of the Ray that this process has started; nothing where Ray has them no more."""
    node = worker._global_node
    for name in _ONLOOKERS:
        # A later Ray may name them otherwise, or start fewer.
        with contextlib.suppress(AttributeError, KeyError):
            getattr(node, name)(check_alive=False)
