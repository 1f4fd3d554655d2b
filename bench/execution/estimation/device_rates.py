"""Look up the speed of a kind of device, for estimates without a measurement.

Usage:
    rates = gpu_rates("NVIDIA A100-SXM4-80GB", variant, model_size(variant))

The CPU's constants were measured on one machine with two cores. No GPU has been measured: a GPU's
rates are a share of the peak in its data sheet, and a time for each kernel launch.
"""

from typing import Literal, NamedTuple

from bench.execution.estimation.model_size import ModelSize
from bench.spec.default_jit import xla_slowdown
from bench.spec.timing import GPU_MIN_TIMING_S, GPU_WARMUP_S
from bench.spec.variant import Variant

Basis = Literal["rates", "guess"]

START_S = 3.0
"""What the published run of `quick` took besides training, for each of its trials: the process and
its share of the imports, data, compilation, evaluation."""
GPU_START_S = 28.0 + GPU_WARMUP_S
"""The same plus loading CUDA's libraries and choosing kernels (a guess) and the warm-up."""

_STEP_S = 2.0e-4
_NORM_STEP_S = 2.0e-4
_FLOPS_PER_S = 2.0e11
_MEASURED_CORES = 2
"""Cores of the machine on which the CPU's rates were measured."""
_LAUNCH_S = 5.0e-6
_LAUNCHES = {"none": (6, 25), "step": (10, 8), "epoch": (10, 8)}
"""Kernels per step for each layer and for each norm, counted on a dense net with three layers."""
_UTILISATION = 0.3
"""Share of the peak that training reaches: a guess, of the order of well-tuned training."""


class _Peak(NamedTuple):
    """Dense operations per second, in 10^12, without sparsity."""

    float32: float
    tf32: float
    half: float
    """float16 or bfloat16 products, summed in float32."""


_PEAKS = {
    "Tesla T4": _Peak(8.1, 8.1, 65),
    "Tesla V100-PCIE": _Peak(14, 14, 112),
    "Tesla V100-SXM2": _Peak(15.7, 15.7, 125),
    "NVIDIA A10": _Peak(31.2, 62.5, 125),
    "NVIDIA A30": _Peak(10.3, 82, 165),
    "NVIDIA A40": _Peak(37.4, 74.8, 149.7),
    "NVIDIA A100": _Peak(19.5, 156, 312),
    "NVIDIA RTX A6000": _Peak(38.7, 77.4, 154.8),
    "NVIDIA GeForce RTX 3090": _Peak(35.6, 35.6, 71),
    "NVIDIA GeForce RTX 4090": _Peak(82.6, 82.6, 165.2),
    "NVIDIA L4": _Peak(30.3, 60, 121),
    "NVIDIA L40S": _Peak(91.6, 183, 362),
    "NVIDIA H100 PCIe": _Peak(51, 378, 756),
    "NVIDIA H100 NVL": _Peak(60, 417, 835),
    "NVIDIA H100": _Peak(67, 494, 989),
    "NVIDIA H200": _Peak(67, 494, 989),
}
"""By the beginning of NVML's name. Source: NVIDIA's data sheets, with figures for sparsity halved;
for GeForce cards, the white papers on GA102 and on the Ada architecture."""
_UNKNOWN = _Peak(15, 15, 60)
"""The peak of a card that is not in the table."""


class Rates(NamedTuple):
    """The components of an epoch's time."""

    start_s: float
    step_s: float
    flops_per_s: float
    min_epoch_s: float
    """Least time of an epoch: shorter ones are repeated until it has passed."""
    basis: Basis


def cpu_rates(variant: Variant) -> Rates:
    """Return the rates of ``variant`` on a CPU."""
    step_s = _STEP_S + (0.0 if variant.norm == "none" else _NORM_STEP_S)
    # XLA's slowdown of a custom workload is unknown.
    custom = variant.has_custom_workload
    slowdown = None if custom else xla_slowdown(variant.workload, variant.jit, "cpu")
    cores = (variant.threads or _MEASURED_CORES) / _MEASURED_CORES
    return Rates(START_S, step_s, _FLOPS_PER_S * cores / (slowdown or 1.0), 0.0, "rates")


def gpu_rates(name: str, variant: Variant, size: ModelSize) -> Rates:
    """Return the rates of ``variant``, with a network of ``size``, on a GPU by NVML's ``name``."""
    per_layer, per_norm = _LAUNCHES[variant.jit]
    launches = size.layers * (per_layer + (0 if variant.norm == "none" else per_norm))
    flops_per_s = _UTILISATION * 1e12 * _peak(name, variant.precision)
    return Rates(GPU_START_S, launches * _LAUNCH_S, flops_per_s, GPU_MIN_TIMING_S, "guess")


def _peak(name: str, precision: str) -> float:
    """Return the peak in 10^12 operations per second, by the longest name that matches."""
    matches = [key for key in _PEAKS if _begins(name, key)]
    peak = _PEAKS[max(matches, key=len)] if matches else _UNKNOWN
    if precision in ("mixed_bfloat16", "mixed_float16"):
        return peak.half
    return peak.tf32 if precision == "float32" else peak.float32


def _begins(name: str, key: str) -> bool:
    """Return whether ``name`` begins with the whole words of ``key``: an A10G is not an A10."""
    return name.startswith(key) and not name[len(key) : len(key) + 1].isalnum()
