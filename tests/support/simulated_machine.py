"""Simulate blocks of two arms on a shared machine whose states last seconds.

Usage:
    values = simulated_block_values(blocks=400)["windows, median of ratios"]

At times another program takes a core, which makes every arm slower for seconds. On top of that
windows vary, and so do processes. The figures resemble a machine with two shared cores.
"""

import itertools

import numpy as np

from bench.analysis.statistics.turn_ratios import Windows, block_values

WINDOW_S, WINDOWS, EPOCHS = 0.1, 8, 6
WINDOWS_PER_TURN = 2
SLOWDOWN, STATE_S, BUSY_SHARE = 1.8, 5.0, 0.4
WINDOW_DEVIATION, PROCESS_DEVIATION = 0.03, 0.01
START_S = 4.0


class SharedMachine:
    """A clock and states that slow down what runs meanwhile."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._now = self._until = 0.0
        self._busy = False

    def train_window(self, cost_s: float) -> float:
        """Run a window that takes ``cost_s`` on the idle machine; return its time."""
        while self._until <= self._now:
            self._busy = self._rng.random() < BUSY_SHARE
            self._until += self._rng.exponential(STATE_S)
        seconds = cost_s * (SLOWDOWN if self._busy else 1.0)
        seconds *= self._rng.lognormal(0.0, WINDOW_DEVIATION)
        self._now += seconds
        return seconds

    def pause(self, seconds: float) -> None:
        self._now += seconds


def simulated_block_values(blocks: int, ratio: float = 1.3) -> dict[str, list[float]]:
    """Return the log ratio of two arms in each block, by design and estimator."""
    values: dict[str, list[float]] = {}
    for block in range(blocks):
        rng = np.random.default_rng(block)
        costs = WINDOW_S * np.exp(rng.normal(0.0, PROCESS_DEVIATION, 2)) * [1.0, ratio]
        sequence, epochs, windows = (
            _train(SharedMachine(rng), costs, windows_per_turn=n, first_arm=block % 2)
            for n in (WINDOWS * EPOCHS, WINDOWS, WINDOWS_PER_TURN)
        )
        for design, value in {
            "trials in sequence": _ratio_of_median_epochs(sequence),
            "epochs in turns": _ratio_of_median_epochs(epochs),
            "windows, ratio of means": float(np.log(windows[1].mean() / windows[0].mean())),
            "windows, median of ratios": _median_over_rounds(windows),
        }.items():
            values.setdefault(design, []).append(value)
    return values


def _train(
    machine: SharedMachine, costs: np.ndarray, windows_per_turn: int, first_arm: int
) -> np.ndarray:
    """Return the time of each window of both arms, which alternate in order ABBA."""
    times = np.empty((2, WINDOWS * EPOCHS))
    orders = itertools.cycle(([first_arm, 1 - first_arm], [1 - first_arm, first_arm]))
    for start in range(0, WINDOWS * EPOCHS, windows_per_turn):
        for arm in next(orders):
            if windows_per_turn == WINDOWS * EPOCHS:
                machine.pause(START_S)
            for window in range(start, start + windows_per_turn):
                times[arm, window] = machine.train_window(costs[arm])
    return times


def _ratio_of_median_epochs(times: np.ndarray) -> float:
    epoch_s = np.median(times.reshape(2, EPOCHS, WINDOWS).sum(axis=2), axis=1)
    return float(np.log(epoch_s[1] / epoch_s[0]))


def _median_over_rounds(times: np.ndarray) -> float:
    number = np.arange(WINDOWS * EPOCHS) // WINDOWS_PER_TURN
    windows = Windows(
        trial=np.repeat([0, 1], WINDOWS * EPOCHS),
        round=np.tile(number, 2),
        seconds=times.ravel(),
        examples=np.ones(times.size),
    )
    return float(block_values(windows, [1], [0], [1.0, 1.0]).log_ratio[0])
