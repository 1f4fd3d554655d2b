"""What runs inside a Ray worker: one trial in a fresh process.

Nothing here is imported by TensorFlow's side; TensorFlow is imported in ``train`` alone,
after the environment of the process is as the trial needs it.
"""

import json
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.execution.autotuning import share_autotuning
from bench.execution.board import posting
from bench.execution.gpu_cache import set_cache
from bench.execution.ports import free_port
from bench.execution.remains import own_log, remains

if TYPE_CHECKING:
    from bench.records.record import TrialRecord

GPU_FREE_S = 60.0
_NO_GPU = ("", "-1", "NoDevFiles")


@dataclass(frozen=True)
class Place:
    """Where a worker is: enough to find its log after it has died."""

    node: str
    node_id: str
    pid: int
    gpus: tuple[str, ...]
    address: str
    """IP address and a port that was free, for a worker's peers."""
    log: str
    oom_kills: int | None
    """Processes that the kernel has ended so far at this group's memory limit."""


class Worker:
    """A fresh process for one trial."""

    def place(self) -> Place:
        """Where this process is; from here on what it writes goes to a log of its own."""
        import ray
        from ray.util import get_node_ip_address

        from bench.measure.host import cgroup_oom_kills

        context = ray.get_runtime_context()
        gpus = tuple(str(gpu) for gpu in context.get_accelerator_ids().get("GPU", []))
        # Ray leaves the variable alone for a worker without a GPU: TensorFlow would see all.
        if not gpus:
            os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
        # Ray and NVML count GPUs in the bus's order; CUDA does so only when told, on any cluster.
        os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
        # Ray's own folder of logs: where nobody is left to delete it, it goes with Ray's.
        logs = Path(context.get_temp_dir()) / context.get_session_name() / "logs"
        self._log = own_log(logs if logs.is_dir() else None)
        return Place(
            node=socket.gethostname(),
            node_id=context.get_node_id(),
            pid=os.getpid(),
            gpus=gpus,
            address=f"{_bracketed(get_node_ip_address())}:{free_port()}",
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
    ) -> str:
        """Train; the record as JSON. ``arrays`` holds one reference to the data.

        News is posted on ``board`` as that of ``gang``; ``tf_config`` tells a worker of several
        who its peers are.
        """
        import ray

        from bench.measure.environment import variables
        from bench.records.clock import utc_now
        from bench.spec.plan import Trial

        started_at, started = utc_now(), time.perf_counter()
        trial = Trial.model_validate_json(trial_json)
        uuids = _take_over_gpus()
        if tf_config is not None:
            os.environ["TF_CONFIG"] = tf_config
        if uuids:
            set_cache(os.environ)
        given = variables(dict(os.environ))
        autotuned = share_autotuning(uuids)
        import_started = time.perf_counter()
        from bench.training.nccl_log import nccl_log
        from bench.training.pulse import Pulse
        from bench.training.trial import train

        import_s = time.perf_counter() - import_started
        pulse = Pulse()

        def load() -> Any:
            loaded = ray.get(arrays[0])
            pulse.beats += 1
            return loaded

        several_gpus = bool(uuids) and trial.variant.total_replicas > 1
        with (
            posting(board, gang, _index(tf_config), pulse) as post,
            nccl_log(several_gpus) as nccl_transport,
        ):
            record = train(
                trial, load=load, threads=threads, on_epoch=post, pulse=pulse, gpus=uuids
            )
            seen = {"variables": given, "nccl_transport": nccl_transport()}
        spent = {"import_s": import_s, "total_s": time.perf_counter() - started}
        whole = record.model_copy(
            update={
                "measures": record.measures.model_copy(update=spent),
                "resolved": {**record.resolved, **autotuned, **seen},
                "devices": uuids or record.devices,
                "started_at": started_at,
            }
        )
        return self._signed(whole).model_dump_json()

    def _signed(self, record: "TrialRecord") -> "TrialRecord":
        """``record`` with what this process knows of itself at its end; its log goes."""
        from bench.measure.host import peak_rss_bytes

        peak = {"peak_rss_bytes": peak_rss_bytes()}
        seen = {"pid": os.getpid(), "visible_gpus": os.environ.get("CUDA_VISIBLE_DEVICES")}
        left = remains(self._log).log_tail
        said = None if record.status == "completed" else _joined(left, record.log_tail)
        return record.model_copy(
            update={
                "log_tail": said,
                "measures": record.measures.model_copy(update=peak),
                "resolved": {**record.resolved, **seen},
                "node": socket.gethostname(),
            }
        )


def _joined(*texts: str | None) -> str | None:
    return "\n".join(text for text in texts if text) or None


def _take_over_gpus() -> tuple[str, ...]:
    """The UUIDs of this process's GPUs, once whoever had them before has given them back.

    Nothing where there is no driver: Ray's GPUs may be logical.
    """
    from bench.measure.gpu import gpus, resolve_visible, wait_until_free

    tokens = [t for t in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if t not in _NO_GPU]
    if not tokens or not gpus():
        return ()
    uuids = tuple(resolve_visible(token).uuid for token in tokens)
    wait_until_free(uuids, GPU_FREE_S)
    return uuids


def _index(tf_config: str | None) -> int:
    return int(json.loads(tf_config)["task"]["index"]) if tf_config else 0


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
