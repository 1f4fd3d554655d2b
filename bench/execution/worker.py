"""What runs inside a Ray worker: one trial in a fresh process, and the board for its news.

Nothing here is imported by TensorFlow's side; TensorFlow is imported in ``train`` alone,
after the environment of the process is as the trial needs it.
"""

import os
import socket
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TAIL_BYTES = 4_000


@dataclass(frozen=True)
class Place:
    """Where a worker is: enough to find its log after it has died."""

    node: str
    node_id: str
    pid: int
    gpus: tuple[str, ...]
    log: str
    oom_kills: int | None
    """Processes that the kernel has ended so far at this group's memory limit."""


@dataclass(frozen=True)
class Remains:
    """What is found on a node after a worker has died there."""

    log_tail: str | None
    oom_kills: int | None


class Worker:
    """A fresh process for one trial."""

    def place(self) -> Place:
        """Where this process is; from here on what it writes goes to a log of its own."""
        import ray

        from bench.measure.host import cgroup_oom_kills

        context = ray.get_runtime_context()
        gpus = tuple(str(gpu) for gpu in context.get_accelerator_ids().get("GPU", []))
        # Ray leaves the variable alone for a worker without a GPU: TensorFlow would see all.
        if not gpus:
            os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
        self._log = _own_log()
        return Place(
            node=socket.gethostname(),
            node_id=context.get_node_id(),
            pid=os.getpid(),
            gpus=gpus,
            log=self._log,
            oom_kills=cgroup_oom_kills(),
        )

    def train(self, trial_json: str, arrays: list[Any], threads: int, board: Any) -> str:
        """Train; the record as JSON. ``arrays`` holds one reference to the data."""
        import ray

        from bench.measure.host import peak_rss_bytes
        from bench.records.clock import utc_now
        from bench.spec.plan import Trial

        started_at, started = utc_now(), time.perf_counter()
        trial = Trial.model_validate_json(trial_json)
        from bench.training.trial import train

        import_s = time.perf_counter() - started
        record = train(
            trial,
            load=lambda: ray.get(arrays[0]),
            threads=threads,
            on_epoch=lambda epoch: board.post.remote(trial.trial_id, epoch.model_dump_json()),
        )
        found = {
            "import_s": import_s,
            "peak_rss_bytes": peak_rss_bytes(),
            "total_s": time.perf_counter() - started,
        }
        measures = record.measures.model_copy(update=found)
        Path(self._log).unlink(missing_ok=True)
        seen = {"pid": os.getpid(), "visible_gpus": os.environ.get("CUDA_VISIBLE_DEVICES")}
        return record.model_copy(
            update={
                "measures": measures,
                "resolved": {**record.resolved, **seen},
                "started_at": started_at,
                "node": socket.gethostname(),
            }
        ).model_dump_json()


class Board:
    """Where workers post finished epochs, so that a death loses none of them."""

    def __init__(self) -> None:
        self._posted: list[tuple[str, str]] = []

    def post(self, trial_id: str, epoch_json: str) -> None:
        """Keep one epoch until the driver asks."""
        self._posted.append((trial_id, epoch_json))

    def drain(self) -> list[tuple[str, str]]:
        """All that was posted since the last call, in order."""
        posted, self._posted = self._posted, []
        return posted


def remains(log: str) -> Remains:
    """What a dead worker left on this node. Its log is deleted: its end is in the record."""
    from bench.measure.host import cgroup_oom_kills

    path = Path(log)
    try:
        content = path.read_bytes()
        path.unlink()
    except OSError:
        content = b""
    tail = content[-TAIL_BYTES:].decode(errors="replace").strip() or None
    return Remains(tail, cgroup_oom_kills())


def node_environment() -> tuple[str, dict[str, Any]]:
    """This node's name and environment."""
    from bench.measure.environment import environment

    return socket.gethostname(), environment()


def _own_log() -> str:
    """Send this process's output, that of its C++ code included, to a file of its own."""
    handle, path = tempfile.mkstemp(prefix="bench-worker-", suffix=".log")
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.close(handle)
    sys.stdout = sys.stderr = os.fdopen(1, "w", buffering=1, closefd=False)
    return path
