"""In the place of a run's process for Ray: starts a trial, finishes an epoch, then ends as told.

Usage:
    python -m tests.support.ray_child_setup END FD
"""

import os
import signal
import subprocess
import sys
import time
from multiprocessing.connection import Connection

from bench.errors import ClusterLostError
from bench.execution.executor import EpochEnd, TrialStart
from bench.execution.ray_backend.process.ray_messages import (
    ClusterDevices,
    ProcessHeartbeat,
    RunEnd,
)
from bench.execution.ray_backend.workers.epoch_log import append_epoch
from bench.records.trial_record import TrialRecord
from bench.spec.plan import Trial
from tests.support.sample_records import make_record


def complete(connection: Connection, trial: Trial) -> None:
    """Send two records of a trial, the second with the skip reason that the first brought."""
    connection.send(TrialRecord(trial=trial, status="completed"))
    reason = connection.recv()(trial)
    connection.send(TrialRecord(trial=trial, status="completed", error=reason))
    connection.recv()
    connection.send(RunEnd())


def main() -> None:
    """Speak as bench.execution.ray_backend.process.ray_process does."""
    end, connection = sys.argv[1], Connection(int(sys.argv[2]))
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    setup = connection.recv()
    # Something that would outlive this process.
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    if end == "never ready":
        time.sleep(600)
    if end == "killed at the start":
        os.kill(os.getpid(), signal.SIGKILL)
    connection.send(ClusterDevices(1, False, (), {}))
    task = connection.recv()
    trial = task.blocks[0].trials[0]
    epochs = make_record(trial).epochs
    log = setup.address or str(setup.folder / "worker.log")
    connection.send(TrialStart(trial, "here", (log,)))
    connection.send(EpochEnd(trial.trial_id, epochs[0]))
    connection.send(ProcessHeartbeat())
    for epoch in epochs:
        append_epoch(log, epoch)
    if end == "completed":
        complete(connection, trial)
        while True:  # until the run ends the pipe
            complete(connection, connection.recv().blocks[0].trials[0])
    elif end == "raises":
        connection.send(RunEnd(ZeroDivisionError("by hand")))
    elif end == "errs on the interrupt":
        signal.sigwait([signal.SIGINT])
        connection.send(RunEnd(ZeroDivisionError("by hand")))
    elif end == "loses Ray on the interrupt":
        signal.sigwait([signal.SIGINT])
        connection.send(RunEnd(ClusterLostError("by hand")))
    elif end == "cannot be read":
        connection.send_bytes(b"this is no pickle")
    elif end == "freezes":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif end == "exits":
        os._exit(1)
    elif end == "is killed":
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(600)


if __name__ == "__main__":
    main()
