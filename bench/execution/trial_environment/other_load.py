"""What else a machine does: said as a run starts, recorded with each trial.

Usage:
    load_warning(cores=8)                           # one line, or None on a quiet machine
    ask_nodes(nodes, load_of_node)                  # the same of other machines
    add_cpu_time(record.measures, cpu_time)        # the trial's own part of the CPU
"""

import socket

from bench.measure.cpu_time import CpuTime, measure_other_load, taken_share
from bench.measure.host import usable_cores
from bench.records.measures import Measures
from bench.records.trial_record import MUCH_TAKEN


def load_warning(cores: int) -> str | None:
    """What takes much of the ``cores`` that trials are to have; looks on for half a second."""
    load = measure_other_load()
    if taken_share(load.cores, 0.0, 1.0, cores, load.allowed_cores) <= MUCH_TAKEN:
        return None
    named = "; ".join(f"{name}, pid {pid}, {used:.1f} cores" for name, pid, used in load.processes)
    return (
        f"other processes{f' ({named})' if named else ''} use {load.cores:.1f} of the "
        f"{load.allowed_cores} cores allowed here, so that times will be too long: end them, or "
        "run when it is idle"
    )


def load_of_node() -> str | None:
    """``load_warning`` of all cores of the node that is asked, and which node that is."""
    warning = load_warning(usable_cores())
    return f"node {socket.gethostname()}: {warning}" if warning else None


def add_cpu_time(measures: Measures, found: CpuTime) -> Measures:
    """``measures`` with what was counted over the trial."""
    return measures.model_copy(
        update={
            "load_average": found.load_average,
            "cpu_s": found.cpu_s,
            "other_cpu_s": found.other_cpu_s,
            "steal_s": found.steal_s,
            "cpu_taken_share": found.taken_share,
            "cpu_throttled_s": found.throttled_s,
        }
    )
