"""What runs inside a Ray worker: one trial in a fresh process.

Nothing here is imported by TensorFlow's side; TensorFlow is imported in ``train`` alone,
after the environment of the process is as the trial needs it.
"""

import dataclasses
import json
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.execution.custom_workloads.module_folder import install_finder
from bench.execution.gpus.autotuning_cache import share_autotuning_cache
from bench.execution.gpus.device_fitness import AcquiredGpus, GpuAllotment, UnfitGpus, acquire_gpus
from bench.execution.gpus.gpu_code_cache import set_code_cache
from bench.execution.gpus.gpu_visibility import assigned_gpus, set_visible_gpus
from bench.execution.ray_backend.peer_network import LOOPBACK, address_for_peers, nccl_variables
from bench.execution.ray_backend.port_guard import PortGuard
from bench.execution.ray_backend.progress_actor import progress_reporter
from bench.execution.ray_backend.worker_log import read_worker_log, redirect_output
from bench.execution.trial_environment.worker_variables import set_worker_variables
from bench.measure.cpu_binding import Binding, bind_near, bind_to

if TYPE_CHECKING:
    from bench.records.epoch_record import EpochRecord
    from bench.records.trial_record import TrialRecord


@dataclass(frozen=True)
class WorkerLocation:
    """Where a worker is: enough to find its log after it has died."""

    node: str
    node_id: str
    pid: int
    gpus: tuple[str, ...]
    """Ray's names of those that it gave the worker."""
    host: str
    """Ray's address of the machine."""
    port: int | None
    """Where its peers reach it; None without any."""
    address: str | None
    """IP address for peers on other machines; None where none may reach it."""
    log: str
    oom_kills: int | None
    """Processes that the kernel has ended so far at this group's memory limit."""


class Worker:
    """A fresh process for one trial, which is to have what ``allotment`` says."""

    def __init__(self, allotment: GpuAllotment) -> None:
        self._allotment = allotment
        self._gpus: tuple[str, ...] = ()
        self._taken, self._near = AcquiredGpus(), Binding()
        self._guard: PortGuard | None = None

    def place(self, has_peers: bool) -> WorkerLocation:
        """Where this process is; from here on what it writes goes to a log of its own.

        ResourceError where it ``has_peers``, and no port can be kept for them.
        """
        import ray
        from ray.util import get_node_ip_address

        from bench.measure.host import cgroup_oom_kills

        context = ray.get_runtime_context()
        self._gpus = assigned_gpus()
        set_visible_gpus(self._gpus)
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
        # Ray's own folder of logs: where nobody is left to delete it, it goes with Ray's.
        logs = Path(context.get_temp_dir()) / context.get_session_name() / "logs"
        self._log = redirect_output(logs if logs.is_dir() else None)
        self._guard = PortGuard() if has_peers else None
        return WorkerLocation(
            node=socket.gethostname(),
            node_id=context.get_node_id(),
            pid=os.getpid(),
            gpus=self._gpus,
            host=get_node_ip_address(),
            port=self._guard.port if self._guard else None,
            address=address_for_peers(self._allotment.network) if has_peers else None,
            log=self._log,
            oom_kills=cgroup_oom_kills(),
        )

    def train(
        self,
        trial_json: str,
        arrays: list[Any],
        threads: int,
        board: Any,
        gang: str,
        tf_config: str | None,
        slot: int = 0,
    ) -> str | UnfitGpus:
        """Train; the record as JSON. ``arrays`` holds one reference to the data.

        Nothing is begun where a GPU that Ray gave this worker is found unfit.

        News is posted on ``board`` as that of ``gang``; ``tf_config`` tells a worker of several
        who its peers are, ``slot`` which of those on its node it is.
        """
        import ray

        from bench.execution.ray_backend.epoch_log import append_epoch
        from bench.execution.trial_environment.other_load import add_cpu_time
        from bench.measure.cpu_time import cpu_time
        from bench.measure.environment import variables
        from bench.records.clock import utc_now
        from bench.spec.plan import Trial

        started_at, started = utc_now(), time.perf_counter()
        trial = Trial.model_validate_json(trial_json)
        taken = acquire_gpus(self._gpus, self._allotment)
        if isinstance(taken, UnfitGpus):
            return taken
        self._taken, self._near = taken, bind_near(taken.uuids, threads)
        # On GPUs other trials run beside this one: only its pools of threads are limited.
        if trial.variant.threads is not None and not self._gpus:
            self._near = bind_to(threads, slot)
        set_worker_variables(os.environ, threads, tf_config)
        not_cached = set_code_cache(os.environ) if taken.uuids else None
        given = variables(dict(os.environ))
        autotuned, not_kept = share_autotuning_cache(taken.uuids)
        install_finder(self._allotment.modules)
        self._let_in_peers(tf_config)
        import_started = time.perf_counter()
        from bench.training.cuda.nccl_log import nccl_log
        from bench.training.loop.heartbeat import Heartbeat
        from bench.training.trial import train

        import_s = time.perf_counter() - import_started
        pulse = Heartbeat()

        def load() -> Any:
            loaded = ray.get(arrays[0])
            pulse.count += 1
            return loaded

        gpus = self._compared
        several_gpus = len(taken.uuids) > 0 and trial.variant.total_replicas > 1
        with (
            progress_reporter(board, gang, _index(tf_config), pulse) as post,
            nccl_log(several_gpus) as nccl_transport,
            cpu_time(threads) as cpu,
        ):

            def finished(epoch: "EpochRecord") -> None:
                append_epoch(self._log, epoch)
                post(epoch)

            record = train(
                trial, load=load, threads=threads, on_epoch=finished, heartbeat=pulse, gpus=gpus
            )
            seen = {"variables": given, "nccl_transport": nccl_transport()}
        spent = {"import_s": import_s, "total_s": time.perf_counter() - started}
        measures = add_cpu_time(record.measures, cpu())
        whole = record.model_copy(
            update={
                "measures": measures.model_copy(update=spent),
                "resolved": {**record.resolved, **autotuned, **seen},
                "warnings": (*record.warnings, *filter(None, [not_cached, not_kept])),
                "started_at": started_at,
            }
        )
        return self._signed(whole).model_dump_json()

    def _let_in_peers(self, tf_config: str | None) -> None:
        """Have TensorFlow and NCCL, which are about to start, listen to peers alone.

        After the process's variables have been recorded: these make no trial faster or slower.
        """
        peers = _hosts(tf_config)
        if self._guard is not None and peers:
            self._guard.admit(peers)
            os.environ.update(self._guard.variables)
        if self._taken.uuids:
            own = peers[_index(tf_config)] if peers else LOOPBACK
            os.environ.update(nccl_variables(own))

    @property
    def _compared(self) -> tuple[str, ...]:
        """The GPUs that TensorFlow must see: none where they are only counted."""
        return () if self._allotment.logical else self._taken.devices

    def _signed(self, record: "TrialRecord") -> "TrialRecord":
        """``record`` with what this process knows of itself at its end; its log goes."""
        from bench.measure.host import peak_rss_bytes

        peak = {"peak_rss_bytes": peak_rss_bytes()}
        seen = {"pid": os.getpid(), "visible_gpus": os.environ.get("CUDA_VISIBLE_DEVICES")}
        allotted = {
            "gpus": self._compared,
            "logical_gpus": self._gpus if self._allotment.logical else (),
            **dataclasses.asdict(self._near),
        }
        left = read_worker_log(self._log).log_tail
        said = None if record.status == "completed" else _joined(left, record.log_tail)
        return record.model_copy(
            update={
                "log_tail": said,
                "measures": record.measures.model_copy(update=peak),
                "resolved": {**record.resolved, **seen, "allotted": allotted},
                "devices": self._taken.uuids or record.devices,
                "warnings": (*record.warnings, *self._taken.warnings),
                "node": socket.gethostname(),
            }
        )


def _joined(*texts: str | None) -> str | None:
    return "\n".join(text for text in texts if text) or None


def _index(tf_config: str | None) -> int:
    return int(json.loads(tf_config)["task"]["index"]) if tf_config else 0


def _hosts(tf_config: str | None) -> list[str]:
    """The workers' IP addresses, in the order of their indices."""
    peers = json.loads(tf_config)["cluster"]["worker"] if tf_config else []
    return [peer.rpartition(":")[0].strip("[]") for peer in peers]
