"""Warn of other load on a machine when a run starts, and record it with each trial.

Usage:
    load_warning(cores=8)                           # one line, or None on an idle machine
    ask_nodes(nodes, load_of_node)                  # the same for other machines
    add_cpu_time(record.measures, cpu_time)         # the CPU time during the trial
"""

import socket

from bench.measure.cpu_time import CpuTime, measure_other_load, taken_share
from bench.measure.host import usable_cores
from bench.records.measures import Measures
from bench.records.trial_record import MAX_TAKEN_SHARE


def load_warning(cores: int) -> str | None:
    """Describe what uses much of the ``cores`` meant for trials; measures for half a second."""
    load = measure_other_load()
    if taken_share(load.cores, 0.0, 1.0, cores, load.allowed_cores) <= MAX_TAKEN_SHARE:
        return None
    processes = "; ".join(
        f"{name}, pid {pid}, {used:.1f} cores" for name, pid, used in load.processes
    )
    return (
        f"other processes{f' ({processes})' if processes else ''} use {load.cores:.1f} of the "
        f"{load.allowed_cores} usable cores, so times will be too long: end them, or run when the "
        "machine is idle"
    )


def load_of_node() -> str | None:
    """Return the ``load_warning`` for all cores of this node, with the node's name."""
    warning = load_warning(usable_cores())
    return f"node {socket.gethostname()}: {warning}" if warning else None


def add_cpu_time(measures: Measures, cpu_time: CpuTime) -> Measures:
    """Return ``measures`` with the CPU times counted during the trial."""
    return measures.model_copy(
        update={
            "load_average": cpu_time.load_average,
            "cpu_s": cpu_time.cpu_s,
            "other_cpu_s": cpu_time.other_cpu_s,
            "steal_s": cpu_time.steal_s,
            "cpu_taken_share": cpu_time.taken_share,
            "cpu_throttled_s": cpu_time.throttled_s,
        }
    )
