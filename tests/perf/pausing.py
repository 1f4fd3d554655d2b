"""A workload that has whatever else its run consists of stand still in every second epoch.

Usage: bench run, in a session of its own, with ``workload = "pausing:net"`` and this folder in
PYTHONPATH. Only the training process then runs in odd epochs; driver and Ray are stopped.
"""

import os
import signal
from typing import Any

import psutil


def net(layers: Any, images: Any) -> Any:
    """The notebook's network, its epochs paused around as told above."""
    _pause_others()
    x = layers.flatten()(images)
    for width in layers.variant.widths:
        x = layers.hidden(layers.dense(width), x)
    return x


def _pause_others() -> None:
    from bench.training.loop.compiled_epoch import CompiledEpoch

    run_epoch = CompiledEpoch.run_epoch

    def alone_if_odd(program: CompiledEpoch, epoch: int) -> Any:
        stopped = _others() if epoch % 2 else []
        try:
            for process in stopped:
                process.send_signal(signal.SIGSTOP)
            return run_epoch(program, epoch)
        finally:
            for process in reversed(stopped):
                process.send_signal(signal.SIGCONT)

    CompiledEpoch.run_epoch = alone_if_odd  # type: ignore[method-assign, assignment]


def _others() -> list[psutil.Process]:
    driver, own = psutil.Process(os.getsid(0)), psutil.Process()
    ours = {own.pid, *(child.pid for child in own.children(recursive=True))}
    return [p for p in (driver, *driver.children(recursive=True)) if p.pid not in ours]
