"""Estimate how long a trial will take before it runs.

Usage:
    estimator = make_estimator(device, variants)
    estimator(variant.id, variant).trial_s      # .basis names the source of the estimate
    estimated_trial_s(variant)                  # on a CPU, only from the table

Estimates answer "minutes or hours?", order blocks and drive simulated runs; no result uses them.
The time comes from earlier runs of the variant on this kind of device, if there are any.
Otherwise, multiplications and steps are counted and divided by rates from a table.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bench.execution.estimation.device_rates import START_S, Rates, cpu_rates, gpu_rates
from bench.execution.estimation.model_size import model_size
from bench.execution.estimation.run_history import MeasuredTime, measured_times, recent_runs
from bench.execution.gpus.device_kind import CPU, DeviceKind
from bench.spec.variant import Variant

__all__ = [
    "START_S",
    "Estimate",
    "Estimator",
    "estimated_epoch_s",
    "estimated_trial_s",
    "make_estimator",
]

Basis = Literal["measured", "rates", "guess"]
"""measured: in an earlier run; rates: from rates measured on one machine; guess: from a data sheet,
without any measurement."""


@dataclass(frozen=True)
class Estimate:
    """The time of a variant's trials, and the basis of the estimate."""

    trial_s: float
    basis: Basis
    run: str | None = None
    """The run folder in which it was measured."""


class Estimator:
    """Estimates for one kind of device; ``measured`` is by variant id."""

    def __init__(
        self, device: DeviceKind = CPU, measured: Mapping[str, MeasuredTime] | None = None
    ) -> None:
        self.device = device
        self._measured = measured or {}

    def __call__(self, variant_id: str, variant: Variant) -> Estimate:
        """Return the estimate for ``variant``, whose id is ``variant_id``."""
        time = self._measured.get(variant_id)
        if time is not None:
            return Estimate(time.start_s + variant.epochs * time.epoch_s, "measured", time.run)
        rates = _rates(self.device, variant)
        return Estimate(_trial_s(variant, rates), rates.basis)


def make_estimator(device: DeviceKind, variants: Mapping[str, Variant]) -> Estimator:
    """Return an estimator of ``variants`` (by id) on ``device``, based on the newest runs."""
    return Estimator(device, measured_times(recent_runs(), variants, device))


def estimated_trial_s(variant: Variant) -> float:
    """Estimate the seconds on a CPU from a trial's dispatch to its record."""
    return _trial_s(variant, cpu_rates(variant))


def estimated_epoch_s(variant: Variant) -> float:
    """Estimate the seconds on a CPU of one epoch of training."""
    return _epoch_s(variant, cpu_rates(variant))


def _rates(device: DeviceKind, variant: Variant) -> Rates:
    if not device.is_gpu:
        return cpu_rates(variant)
    return gpu_rates(device.name, variant, model_size(variant))


def _trial_s(variant: Variant, rates: Rates) -> float:
    return rates.start_s + variant.epochs * max(_epoch_s(variant, rates), rates.min_epoch_s)


def _epoch_s(variant: Variant, rates: Rates) -> float:
    steps = variant.steps_per_epoch
    examples = steps * variant.per_replica_batch_size
    # Three products, forward, backward for weights and backward for inputs, of two operations each.
    flops = 6 * model_size(variant).products * examples
    return steps * rates.step_s + flops / rates.flops_per_s
