"""Examine this machine: what works, what does not, and how to fix it.

Usage:
    for check in examine(): print(check.state, check.name, check.finding, check.remedy)

TensorFlow and Ray are each tried in a separate process. This process imports neither, takes no GPU
and leaves nothing running.
"""

import os
import shutil
import tempfile
from pathlib import Path

from bench.datasets.data_folders import cache
from bench.datasets.fetch import verify
from bench.doctor.gpu_checks import cuda_checks, gpu_check, use_checks
from bench.doctor.machine_checks import (
    Check,
    data_check,
    disk_check,
    machine_checks,
    python_checks,
    ray_check,
    tensorflow_checks,
    variables_check,
)
from bench.errors import ResourceError
from bench.execution.ray_backend.cluster.peer_network import VARIABLE, named_network, own_address
from bench.execution.ray_backend.workers.port_guard import PortGuard
from bench.execution.subprocess_probe import Reply, probe_in_subprocess
from bench.execution.trial_environment.inherited_environment import inherited_environment
from bench.measure.environment import environment
from bench.measure.gpu import Gpu, cards_on_bus, visible_gpus
from bench.measure.gpu_occupancy import Occupancy, occupancy

__all__ = ["RESULTS", "Check", "examine"]

RESULTS = Path("results/runs")
"""The default folder for runs."""


def examine(address: str | None = None, results: Path = RESULTS) -> list[Check]:
    """Check everything that a run needs; start Ray locally, or connect to it at ``address``."""
    facts = environment()
    uses = _gpu_uses()  # before the TensorFlow probe, which computes on the GPUs
    tensorflow, ray = _probe(address, in_turn=bool(facts["gpus"]))
    return [
        *python_checks(facts),
        variables_check(inherited_environment().conflict),
        *machine_checks(facts),
        gpu_check(facts, cards_on_bus()),
        *use_checks(uses),
        network_check(),
        data_check(verify(), cache_writable=_is_writable(cache().path)),
        _results_check(results),
        *tensorflow_checks(tensorflow, facts),
        *cuda_checks(tensorflow, facts),
        ray_check(ray, address),
    ]


def _probe(address: str | None, in_turn: bool) -> tuple[Reply, Reply]:
    """Return the replies of TensorFlow's probe and of Ray's.

    With GPUs they run ``in_turn``: Ray's probe counts those that TensorFlow's probe uses as busy.
    """
    module, arguments = (
        "bench.execution.ray_backend.process.ray_probe",
        [address] if address else [],
    )
    with probe_in_subprocess("bench.training.tensorflow_probe") as answer:
        if not in_turn:
            with probe_in_subprocess(module, *arguments) as ray:
                return answer(), ray()
        tensorflow = answer()
    with probe_in_subprocess(module, *arguments) as ray:
        return tensorflow, ray()


def network_check() -> Check:
    """Check who can reach the ports of a trial's workers, and that everybody else is kept out."""
    try:
        PortGuard().close()
        network = named_network(None)
        address = own_address(network) if network else None
    except ResourceError as error:
        finding, _, remedy = str(error).rpartition(": ")
        return Check("Network", "broken", finding, remedy)
    between = (
        f"between nodes {address} in {network} is open to a trial's other nodes, without a password"
        if network
        else f"no network between nodes ({VARIABLE} is not set)"
    )
    return Check("Network", "ok", f"workers on one machine use its loopback interface; {between}")


def _gpu_uses() -> dict[Gpu, Occupancy]:
    """Return the occupancy of each GPU that a run started here would use."""
    try:
        visible = visible_gpus(os.environ.get("CUDA_VISIBLE_DEVICES"))
        return {gpu: occupancy(gpu.uuid) for gpu in visible}
    except ResourceError:  # a run would be refused, which the Ray check reports
        return {}


def _results_check(folder: Path) -> Check:
    # The first run makes the folder. Until then, look at the folder above it.
    free_bytes = shutil.disk_usage(_nearest_existing(folder)).free
    return disk_check(str(folder), free_bytes, _is_writable(folder))


def _is_writable(folder: Path) -> bool:
    """Try to write: permissions do not show a read-only disk, and do not apply to root."""
    try:
        with tempfile.TemporaryFile(dir=_nearest_existing(folder)):
            return True
    except OSError:
        return False


def _nearest_existing(folder: Path) -> Path:
    return next(each for each in (folder, *folder.absolute().parents) if each.exists())
