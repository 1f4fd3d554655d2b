"""What works on this machine, what does not, and how to mend it.

Usage:
    for check in examine(): print(check.state, check.name, check.found, check.remedy)

TensorFlow and Ray are tried in a process each: this one imports neither, takes no GPU, and leaves
nothing running.
"""

import os
import shutil
import tempfile
from pathlib import Path

from bench.datasets.data_places import cache
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
from bench.execution.ray_backend.peer_network import VARIABLE, named_network, own_address
from bench.execution.ray_backend.port_guard import PortGuard
from bench.execution.subprocess_probe import Reply, probe_in_subprocess
from bench.execution.trial_environment.inherited_environment import inherited_environment
from bench.measure.environment import environment
from bench.measure.gpu import Gpu, cards_on_bus, visible_gpus
from bench.measure.gpu_occupancy import Occupancy, occupancy

__all__ = ["RESULTS", "Check", "examine"]

RESULTS = Path("results/runs")
"""Where runs go unless told otherwise."""


def examine(address: str | None = None, results: Path = RESULTS) -> list[Check]:
    """Look at all that a run needs; Ray by a local start, or at ``address`` where given."""
    facts = environment()
    uses = _uses()  # before TensorFlow is tried, which computes on them
    tensorflow, ray = _tried(address, in_turn=bool(facts["gpus"]))
    return [
        *python_checks(facts),
        variables_check(inherited_environment().conflict),
        *machine_checks(facts),
        gpu_check(facts, cards_on_bus()),
        *use_checks(uses),
        network_check(),
        data_check(verify(), cache_writable=_can_be_written(cache().folder)),
        _disk(results),
        *tensorflow_checks(tensorflow, facts),
        *cuda_checks(tensorflow, facts),
        ray_check(ray, address),
    ]


def _tried(address: str | None, in_turn: bool) -> tuple[Reply, Reply]:
    """What TensorFlow's probe and Ray's reply.

    Where there are GPUs they run ``in_turn``: Ray's counts those as busy that TensorFlow's is on.
    """
    module, arguments = "bench.execution.ray_backend.ray_probe", [address] if address else []
    with probe_in_subprocess("bench.training.tensorflow_probe") as answer:
        if not in_turn:
            with probe_in_subprocess(module, *arguments) as ray:
                return answer(), ray()
        tensorflow = answer()
    with probe_in_subprocess(module, *arguments) as ray:
        return tensorflow, ray()


def network_check() -> Check:
    """What the workers of one trial open to whom, and whether this machine can close the rest."""
    try:
        PortGuard().close()
        network = named_network(None)
        address = own_address(network) if network else None
    except ResourceError as error:
        found, _, remedy = str(error).rpartition(": ")
        return Check("Network", "broken", found, remedy)
    between = (
        f"between nodes {address} in {network} is open to a trial's other nodes, without a password"
        if network
        else f"none between nodes ({VARIABLE} is not set)"
    )
    return Check("Network", "ok", f"workers of one machine use its loopback; {between}")


def _uses() -> dict[Gpu, Occupancy]:
    """What is on each GPU that a run started here would have."""
    try:
        found = visible_gpus(os.environ.get("CUDA_VISIBLE_DEVICES"))
        return {gpu: occupancy(gpu.uuid) for gpu in found}
    except ResourceError:  # a run would be refused, as the check of Ray says
        return {}


def _disk(folder: Path) -> Check:
    # The folder is made by the first run: until then, look at what it would be made in.
    free_bytes = shutil.disk_usage(_nearest(folder)).free
    return disk_check(str(folder), free_bytes, _can_be_written(folder))


def _can_be_written(folder: Path) -> bool:
    """Tried, since permissions say nothing of a read-only disk, or to root."""
    try:
        with tempfile.TemporaryFile(dir=_nearest(folder)):
            return True
    except OSError:
        return False


def _nearest(folder: Path) -> Path:
    return next(place for place in (folder, *folder.absolute().parents) if place.exists())
