"""Models of the noise of a trial's time, for simulations of whole runs.

Usage:
    logs = scaled_noise("spikes", rng, (runs, blocks, arms), deviation=0.035)
"""

from collections.abc import Callable
from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]


def scaled_noise(
    model: str, rng: np.random.Generator, shape: tuple[int, ...], deviation: float
) -> Floats:
    """Return noise of log times, by run, block and arm; arm 0 is the baseline.

    ``deviation`` is the standard deviation of a block's log ratio, over all arms and runs.
    """
    values = NOISE[model](rng, shape)
    differences = values[:, :, 1:] - values[:, :, :1]
    return values * (deviation / float(differences.std()))


def _bimodal(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """One trial in five runs in a slower state of the machine."""
    return 2.0 * (rng.random(shape) < 0.2) + 0.6 * rng.normal(size=shape)


def _spikes(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """One trial in fifty takes much longer."""
    return 5.0 * (rng.random(shape) < 0.02) + rng.normal(size=shape)


def _drift(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """The machine slows down all the time; the order of arms in a block is random."""
    _, blocks, arms = shape
    position = np.argsort(rng.random(shape), axis=2) + arms * np.arange(blocks)[None, :, None]
    return 0.3 * position + rng.normal(size=shape)


def _unequal(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """The noisiest arm has three times the deviation of the quietest, the baseline."""
    return np.linspace(0.5, 1.5, shape[2]) * rng.normal(size=shape)


NOISE: dict[str, Callable[[np.random.Generator, tuple[int, ...]], Floats]] = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "t5": lambda rng, shape: rng.standard_t(5, size=shape),
    "bimodal": _bimodal,
    "spikes": _spikes,
    "drift": _drift,
    "unequal": _unequal,
}
"""Models of the log time of a trial, by run, block and arm; of any scale."""
