"""Choose ``jit`` for a suite that does not set it: by device and workload, from measured times.

Usage:
    default_jit("convnet", "cpu", strategy="one_device", pipeline="device")    # "none"
    xla_slowdown("convnet", "epoch", "cpu")      # 36.3: an epoch's time over that without XLA

On a CPU XLA's convolutions take 2 to 36 times as long as TensorFlow's own, and are slowest in a
compiled loop; dense layers and attention take 0.66 and 0.77 times as long in such a loop. GPUs
have not been measured.
"""

from typing import Literal

from bench.spec.device import DeviceType

Jit = Literal["none", "step", "epoch"]

SLOW = 1.5
"""The slowdown from which XLA is not the default and a warning is printed: half way between
workloads that XLA speeds up (below 1) and the smallest measured slowdown (1.98)."""

_CPU_STEP_S: dict[str, dict[Jit, float]] = {
    "mlp": {"none": 5.55e-4, "step": 5.48e-4, "epoch": 3.68e-4},
    "convnet": {"none": 1.94e-2, "step": 4.77e-2, "epoch": 0.705},
    "resnet50": {"none": 7.93e-2, "step": 0.157, "epoch": 0.331},
    "depthwise": {"none": 4.40e-3, "step": 3.31e-2, "epoch": 7.64e-2},
    "attention": {"none": 4.92e-3, "step": 4.27e-3, "epoch": 3.78e-3},
}
"""Seconds of a training step on two cores of an AMD EPYC with TensorFlow 2.21, as printed by
``make perf ARGS='-k jit'`` (tests/perf/test_jit_perf.py has the networks and their batches)."""


def default_jit(workload: str, device: DeviceType, *, strategy: str, pipeline: str) -> Jit:
    """Return what XLA compiles by default: as much as it can, or nothing if that is slow.

    XLA cannot compile a window over several replicas of one process, or an iterator over host
    data.
    """
    if strategy != "one_device":
        return "none"
    most = most_compiled(pipeline)
    return most if xla_slowdown(workload, most, device) is None else "none"


def most_compiled(pipeline: str) -> Jit:
    """Return the most that XLA can compile on one device that reads through ``pipeline``."""
    return "epoch" if pipeline == "device" else "step"


def xla_slowdown(workload: str, jit: Jit, device: DeviceType) -> float | None:
    """Return the measured time of ``jit`` over that of "none"; None if below ``SLOW`` or unknown.

    A custom workload may contain anything: it gets the largest slowdown that was measured.
    """
    if device == "gpu":
        return None
    rows = [_CPU_STEP_S[workload]] if workload in _CPU_STEP_S else list(_CPU_STEP_S.values())
    slowdown = max(row[jit] / row["none"] for row in rows)
    return slowdown if slowdown >= SLOW else None
