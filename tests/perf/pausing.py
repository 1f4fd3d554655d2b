"""A workload that stops its run's other processes during every second epoch.

Usage: bench run in a new process session, with ``workload = "pausing:net"`` and this folder in
PYTHONPATH. In odd epochs only the training process runs; the driver and Ray are stopped.
"""

import os
import signal
from typing import Any

import psutil


def net(layers: Any, images: Any) -> Any:
    """Build the notebook's network, and pause the other processes in odd epochs."""
    _pause_others()
    x = layers.flatten()(images)
    for width in layers.variant.widths:
        x = layers.hidden(layers.dense(width), x)
    return x


def _pause_others() -> None:
    from bench.training.loop.compiled_epoch import CompiledEpoch

    run_epoch = CompiledEpoch.run_epoch

    def run_alone_if_odd(program: CompiledEpoch, epoch: int) -> Any:
        stopped = _others() if epoch % 2 else []
        try:
            for process in stopped:
                process.send_signal(signal.SIGSTOP)
            return run_epoch(program, epoch)
        finally:
            for process in reversed(stopped):
                process.send_signal(signal.SIGCONT)

    # No trial's own code may be changed for this, and mypy accepts no method that is replaced.
    CompiledEpoch.run_epoch = run_alone_if_odd  # type: ignore[method-assign, assignment]


def _others() -> list[psutil.Process]:
    driver, trainer = psutil.Process(os.getsid(0)), psutil.Process()
    training = {trainer.pid, *(child.pid for child in trainer.children(recursive=True))}
    return [p for p in (driver, *driver.children(recursive=True)) if p.pid not in training]
