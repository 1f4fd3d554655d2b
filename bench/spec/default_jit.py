"""Which ``jit`` a suite gets where it names none: by device and workload, from measured times.

Usage:
    default_jit("convnet", "cpu", strategy="one_device", pipeline="device")    # "none"
    xla_slowdown("convnet", "epoch", "cpu")      # 30.3: an epoch's time over that without XLA

On a CPU XLA's convolutions take many times as long as TensorFlow's own, most of all in a compiled
loop. A small dense net takes 1.1 times as long in a compiled loop; in compiled steps it took 1.5
times as long, in one measurement on a busy machine, which is too doubtful to change a default.
Attention gains by either. On GPUs nothing was measured.
"""

from typing import Literal

DeviceType = Literal["cpu", "gpu"]
"""What a run's trials train on."""

Jit = Literal["none", "step", "epoch"]

SLOW = 2.0
"""The slowdown from which XLA is not the default, and is warned of: more than noise makes."""

_CPU_STEP_S: dict[str, dict[Jit, float]] = {
    "mlp": {"none": 5.3e-4, "step": 8.1e-4, "epoch": 5.9e-4},
    "convnet": {"none": 3.9e-2, "step": 8.9e-2, "epoch": 1.18},
    "resnet50": {"none": 0.197, "step": 1.21, "epoch": 2.67},
    "depthwise": {"none": 7.4e-3, "step": 8.2e-2, "epoch": 0.222},
    "attention": {"none": 8.8e-3, "step": 7.1e-3, "epoch": 6.2e-3},
}
"""Seconds of a training step on two cores of an AMD EPYC by TensorFlow 2.21, as printed by
``make perf ARGS='-k jit'`` (tests/perf/test_jit_perf.py has the networks and their batches)."""


def default_jit(workload: str, device: DeviceType, *, strategy: str, pipeline: str) -> Jit:
    """What XLA compiles where a suite does not say: as much as it can, unless it is slow there.

    XLA compiles no window over several replicas of one process, and no iterator over host data.
    """
    if strategy != "one_device":
        return "none"
    most = most_compiled(pipeline)
    return most if xla_slowdown(workload, most, device) is None else "none"


def most_compiled(pipeline: str) -> Jit:
    """The most that XLA can compile on one device whose examples come through ``pipeline``."""
    return "epoch" if pipeline == "device" else "step"


def xla_slowdown(workload: str, jit: Jit, device: DeviceType) -> float | None:
    """The measured time of ``jit`` over that of "none"; None where it is not ``SLOW`` or unknown.

    Of a network of one's own, which may consist of anything, the largest that was measured.
    """
    if device == "gpu":
        return None
    rows = [_CPU_STEP_S[workload]] if workload in _CPU_STEP_S else list(_CPU_STEP_S.values())
    slowdown = max(row[jit] / row["none"] for row in rows)
    return slowdown if slowdown >= SLOW else None
