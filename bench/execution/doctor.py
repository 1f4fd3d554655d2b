"""What works on this machine, what does not, and how to mend it.

Usage:
    for check in examine(): print(check.state, check.name, check.found, check.remedy)

TensorFlow and Ray are tried at once, each in a process of its own: this one imports neither,
takes no GPU, and leaves nothing running.
"""

import os
import shutil
from pathlib import Path

from bench.datasets.fetch import verify
from bench.execution.asking import asking
from bench.execution.checks import (
    Check,
    data_check,
    disk_check,
    gpu_check,
    machine_checks,
    python_checks,
    ray_check,
    tensorflow_checks,
)
from bench.measure.environment import environment
from bench.measure.gpu import cards_on_bus

__all__ = ["RESULTS", "Check", "examine"]

RESULTS = Path("results/runs")
"""Where runs go unless told otherwise."""


def examine(address: str | None = None, results: Path = RESULTS) -> list[Check]:
    """Look at all that a run needs; Ray by a local start, or at ``address`` where given."""
    to_ray = [address] if address else []
    facts = environment()
    with (
        asking("bench.training.probe") as tensorflow,
        asking("bench.execution.ray_probe", *to_ray) as ray,
    ):
        return [
            *python_checks(facts),
            *machine_checks(facts),
            gpu_check(facts, cards_on_bus()),
            data_check(verify()),
            _disk(results),
            *tensorflow_checks(tensorflow(), facts),
            ray_check(ray(), address),
        ]


def _disk(folder: Path) -> Check:
    # The folder is made by the first run: until then, look at what it would be made in.
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    writable = there.is_dir() and os.access(there, os.W_OK)
    return disk_check(str(folder), shutil.disk_usage(there).free, writable)
