"""Train one trial in a new Ray worker process.

Only ``train`` imports TensorFlow, after the process's environment is as the trial needs it.
"""

import dataclasses
import json
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.execution.gpus.autotuning_cache import share_autotuning_cache
from bench.execution.gpus.gpu_code_cache import set_code_cache
from bench.execution.gpus.gpu_fitness import AcquiredGpus, GpuAllotment, UnfitGpus, acquire_gpus
from bench.execution.gpus.gpu_visibility import set_visible_gpus
from bench.execution.ray_backend.cluster.peer_network import (
    LOOPBACK,
    address_for_peers,
    nccl_variables,
)
from bench.execution.ray_backend.workers.assigned_gpus import assigned_gpus
from bench.execution.ray_backend.workers.port_guard import PortGuard
from bench.execution.ray_backend.workers.progress_actor import progress_reporter
from bench.execution.ray_backend.workers.worker_log import read_worker_log, redirect_output
from bench.execution.trial_environment.worker_variables import set_worker_variables
from bench.files.module_finder import install_finder
from bench.measure.cpu_binding import Binding, bind_near, bind_to

if TYPE_CHECKING:
    from bench.records.epoch_record import EpochRecord
    from bench.records.trial_record import TrialRecord


@dataclass(frozen=True)
class WorkerLocation:
    """Where a worker runs, with what is needed to find its log after it has died."""

    node: str
    node_id: str
    pid: int
    gpus: tuple[str, ...]
    """Ray's names of the GPUs that it assigned to the worker."""
    host: str
    """Ray's address of the machine."""
    port: int | None
    """The port for its peers; None if it has none."""
    address: str | None
    """IP address for peers on other machines; None if no network is named for them."""
    log: str
    oom_kills: int | None
    """Processes that the kernel has killed so far at this control group's memory limit."""


def log_folder() -> Path | None:
    """Return Ray's folder of logs, which Ray deletes if nobody else is left to do so."""
    import ray

    context = ray.get_runtime_context()
    logs = Path(context.get_temp_dir()) / context.get_session_name() / "logs"
    return logs if logs.is_dir() else None


def locate_process(
    gpus: tuple[str, ...], log: str, port: int | None = None, address: str | None = None
) -> WorkerLocation:
    """Return where this process runs; the other fields are ``gpus``, ``log`` and its ``port``."""
    import ray
    from ray.util import get_node_ip_address

    from bench.measure.host import cgroup_oom_kills

    return WorkerLocation(
        node=socket.gethostname(),
        node_id=ray.get_runtime_context().get_node_id(),
        pid=os.getpid(),
        gpus=gpus,
        host=get_node_ip_address(),
        port=port,
        address=address,
        log=log,
        oom_kills=cgroup_oom_kills(),
    )


class Worker:
    """A new process for one trial, with the GPUs and settings of ``allotment``."""

    def __init__(self, allotment: GpuAllotment) -> None:
        self._allotment = allotment
        self._gpus: tuple[str, ...] = ()
        self._acquired, self._binding = AcquiredGpus(), Binding()
        self._guard: PortGuard | None = None

    def locate(self, has_peers: bool) -> WorkerLocation:
        """Return this process's location, and redirect its output to its own log.

        Raises ResourceError if it ``has_peers`` and no port can be reserved for them.
        """
        self._gpus = assigned_gpus()
        set_visible_gpus(self._gpus)
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
        self._log = redirect_output(log_folder())
        self._guard = PortGuard() if has_peers else None
        return locate_process(
            self._gpus,
            self._log,
            port=self._guard.port if self._guard else None,
            address=address_for_peers(self._allotment.network) if has_peers else None,
        )

    def train(
        self,
        trial_json: str,
        arrays: list[Any],
        threads: int,
        progress_actor: Any,
        group_key: str,
        tf_config: str | None,
        slot: int = 0,
    ) -> str | UnfitGpus:
        """Train the trial and return its record as JSON.

        ``arrays`` holds one reference to the data. If a GPU that Ray assigned is unfit, nothing
        starts and the GPUs are returned instead. Progress is reported to ``progress_actor`` under
        ``group_key``. ``tf_config`` describes the peers of a worker that has any, and ``slot`` is
        the worker's index among those on its node.
        """
        import ray

        from bench.execution.ray_backend.workers.epoch_log import append_epoch
        from bench.execution.trial_environment.other_load import add_cpu_time
        from bench.measure.cpu_time import cpu_time
        from bench.records.clock import utc_now
        from bench.spec.plan import Trial
        from bench.spec.recorded_variables import recorded_values

        started_at, started = utc_now(), time.perf_counter()
        trial = Trial.model_validate_json(trial_json)
        acquired = acquire_gpus(self._gpus, self._allotment)
        if isinstance(acquired, UnfitGpus):
            return acquired
        self._acquired, self._binding = acquired, bind_near(acquired.uuids, threads)
        # On GPUs other trials run beside this one, so that only its thread pools are limited.
        if trial.variant.threads is not None and not self._gpus:
            self._binding = bind_to(threads, slot)
        environment = self._allotment.environment_of(trial.variant)
        os.environ.update(environment.variables)
        set_worker_variables(os.environ, threads, tf_config)
        not_cached = set_code_cache(os.environ) if acquired.uuids else None
        variables_before = recorded_values(os.environ)
        autotuned, not_kept = share_autotuning_cache(acquired.uuids)
        install_finder(self._allotment.modules)
        self._admit_peers(tf_config)
        import_started = time.perf_counter()
        from bench.training.cuda.nccl_log import nccl_log
        from bench.training.loop.heartbeat import Heartbeat
        from bench.training.trial import train

        import_s = time.perf_counter() - import_started
        heartbeat = Heartbeat()

        def load() -> Any:
            loaded = ray.get(arrays[0])
            heartbeat.count += 1
            return loaded

        gpus = self._expected_gpus
        several_gpus = len(acquired.uuids) > 0 and trial.variant.total_replicas > 1
        with (
            progress_reporter(progress_actor, group_key, _index(tf_config), heartbeat) as report,
            nccl_log(several_gpus) as nccl_transport,
            cpu_time(threads) as cpu,
        ):

            def on_epoch(epoch: "EpochRecord") -> None:
                append_epoch(self._log, epoch)
                report(epoch)

            record = train(
                trial, load=load, threads=threads, on_epoch=on_epoch, heartbeat=heartbeat, gpus=gpus
            )
            context = {
                "environment": environment.settings(),
                "variables": variables_before,
                "nccl_transport": nccl_transport(),
            }
        durations = {"import_s": import_s, "total_s": time.perf_counter() - started}
        measures = add_cpu_time(record.measures, cpu())
        extended = record.model_copy(
            update={
                "measures": measures.model_copy(update=durations),
                "resolved": {**record.resolved, **autotuned, **context},
                "warnings": (*record.warnings, *filter(None, [not_cached, not_kept])),
                "started_at": started_at,
            }
        )
        return self._complete(extended).model_dump_json()

    def _admit_peers(self, tf_config: str | None) -> None:
        """Have TensorFlow and NCCL, which start next, listen only to peers.

        Called after the process's variables were recorded: these make no trial faster or slower.
        """
        peers = _hosts(tf_config)
        if self._guard is not None and peers:
            self._guard.admit(peers)
            os.environ.update(self._guard.variables)
        if self._acquired.uuids:
            address = peers[_index(tf_config)] if peers else LOOPBACK
            os.environ.update(nccl_variables(address))

    @property
    def _expected_gpus(self) -> tuple[str, ...]:
        """The GPUs that TensorFlow must see; none if they are logical."""
        return () if self._allotment.logical else self._acquired.devices

    def _complete(self, record: "TrialRecord") -> "TrialRecord":
        """Return ``record`` with this process's measures and allotment; delete its log."""
        from bench.measure.host import peak_rss_bytes

        peak = {"peak_rss_bytes": peak_rss_bytes()}
        process = {"pid": os.getpid(), "visible_gpus": os.environ.get("CUDA_VISIBLE_DEVICES")}
        allotted = {
            "gpus": self._expected_gpus,
            "logical_gpus": self._gpus if self._allotment.logical else (),
            **dataclasses.asdict(self._binding),
        }
        output = read_worker_log(self._log).log_tail
        tail = None if record.status == "completed" else _join_lines(output, record.log_tail)
        return record.model_copy(
            update={
                "log_tail": tail,
                "measures": record.measures.model_copy(update=peak),
                "resolved": {**record.resolved, **process, "allotted": allotted},
                "devices": self._acquired.uuids or record.devices,
                "warnings": (*record.warnings, *self._acquired.warnings),
                "node": socket.gethostname(),
            }
        )


def _join_lines(*texts: str | None) -> str | None:
    return "\n".join(text for text in texts if text) or None


def _index(tf_config: str | None) -> int:
    return int(json.loads(tf_config)["task"]["index"]) if tf_config else 0


def _hosts(tf_config: str | None) -> list[str]:
    """Return the workers' IP addresses, in the order of their indices."""
    peers = json.loads(tf_config)["cluster"]["worker"] if tf_config else []
    return [peer.rpartition(":")[0].strip("[]") for peer in peers]
