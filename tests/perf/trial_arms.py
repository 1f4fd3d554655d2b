"""Make arms that train on this machine's cores, as a holder does, without Ray.

Usage:
    with SharedArrays(arrays) as shared, PreloaderClient(variables=cpu_variables()) as preloader:
        arms = [cpu_arm(preloader, trial, shared, log) for trial in trials]
"""

import os
from pathlib import Path

from bench.execution.trial_environment.worker_variables import set_worker_variables
from bench.execution.trial_processes.preloader_client import PreloaderClient
from bench.execution.turns.process_arm import ProcessArm
from bench.measure.host import usable_cores
from bench.protocol.messages import StartTrial
from bench.protocol.shared_arrays import SharedArrays
from bench.spec.plan import Trial

PATIENCE_S = 900.0
"""Beyond this something hangs."""


def cpu_variables() -> dict[str, str]:
    """Return the variables of a process that trains on all usable cores and no GPU."""
    environ = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "1"}
    set_worker_variables(environ, usable_cores())
    return environ


def cpu_request(trial: Trial, shared: SharedArrays) -> StartTrial:
    """Return the request that trains ``trial`` on all usable cores."""
    return StartTrial(trial=trial, data=shared.layout, threads=usable_cores())


def cpu_arm(
    preloader: PreloaderClient, trial: Trial, shared: SharedArrays, log: Path
) -> ProcessArm:
    """Return the arm of ``trial``, whose process writes to ``log``."""
    return ProcessArm(preloader, cpu_request(trial, shared), shared.descriptor, log)
