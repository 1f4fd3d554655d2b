"""Workloads of the user's own: are their packages there, before anything starts?

Usage:
    check_workloads(trials)          # SuiteError that names the module to install

Found without being imported: the driver must not load TensorFlow, which takes the GPUs.
"""

import importlib.util
from collections.abc import Iterable

from bench.errors import SuiteError
from bench.spec.plan import Trial


def check_workloads(trials: Iterable[Trial]) -> None:
    """SuiteError where the package of a workload is not on this machine."""
    for name in sorted({trial.variant.workload for trial in trials}):
        module, colon, _ = name.partition(":")
        package = module.partition(".")[0]
        if colon and importlib.util.find_spec(package) is None:
            raise SuiteError(
                f"workload '{name}': there is no package '{package}' here: install it beside "
                "bench, on every node, or name its folder in PYTHONPATH"
            )
