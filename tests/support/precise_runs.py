"""Simulate runs that stop on the precision of their ratios, by the code that real runs use.

Usage:
    simulated = simulate("normal", comparisons=4, runs=200)
    simulated.covered.mean(), simulated.blocks.mean()

    python -m tests.support.precise_runs 1000      # the table in docs/methodology.md
"""

import itertools
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bench.analysis.comparison.compare import compare, log_ratios
from bench.analysis.statistics.stopping import decide
from bench.records.stopping_record import Stopping
from bench.spec.pairing import Pair
from tests.support.noise_models import NOISE, Floats, scaled_noise
from tests.support.simulated_runs import blocks_in

DEVIATION = 0.035
"""Standard deviation of a block's log ratio, as of two cores whose arms take turns."""
TRUE_RATIO = 1.5


@dataclass(frozen=True)
class Simulated:
    """What simulated runs ended with."""

    stopping: tuple[Stopping, ...]
    covered: Floats
    """Whether each comparison's published interval has the true ratio: by run, by comparison."""

    @property
    def blocks(self) -> Floats:
        """The blocks of each run."""
        return np.array([stopping.blocks for stopping in self.stopping], dtype=float)


def simulate(
    noise: str,
    comparisons: int,
    runs: int,
    *,
    precision: float = 0.02,
    max_blocks: int = 30,
    confidence: float | None = None,
    parts: int = 1,
    seed: int = 1,
) -> Simulated:
    """Simulate runs with comparisons of one baseline, which trains in each of ``parts`` parts.

    ``confidence`` replaces the nominal one of the published intervals.
    """
    trials = _trials(noise, comparisons, runs, max_blocks, parts, seed)
    pairs = [_pairs(run, comparisons) for run in range(runs)]
    every_pair = list(itertools.chain(*pairs))
    ratios = log_ratios(trials, every_pair)
    by_run = dict(iter(ratios.groupby(ratios["pair"] // comparisons)))
    stopping = tuple(_ended(by_run[run], pairs[run], precision, max_blocks) for run in range(runs))
    blocks = np.array([each.blocks for each in stopping])
    ran = trials[trials["block"] < blocks[trials["run"]]]
    confidence = confidence or stopping[0].confidence
    published = compare(ran, [{}], every_pair, blocks_in(ran), confidence)
    covered = []
    for comparison in published:
        ratio = comparison.ratio
        assert ratio is not None and ratio.low is not None and ratio.high is not None
        covered.append(ratio.low <= TRUE_RATIO <= ratio.high)
    return Simulated(stopping, np.array(covered, dtype=float).reshape(runs, comparisons))


def _ended(ratios: pd.DataFrame, pairs: Sequence[Pair], precision: float, most: int) -> Stopping:
    """Look at a run until a rule ends it."""
    ratios = ratios.assign(pair=ratios["pair"] % len(pairs))
    blocks = 6
    while True:
        seen = ratios[ratios["block"] < blocks]
        stopping = decide(seen, pairs, blocks=blocks, precision=precision, max_blocks=most)
        if stopping.rule:
            return stopping
        blocks += stopping.further_blocks


def _pairs(run: int, comparisons: int) -> list[Pair]:
    return [
        Pair(axis="norm", variant_id=f"{run}-{arm}", baseline_id=f"{run}-0")
        for arm in range(1, comparisons + 1)
    ]


def _trials(
    noise: str, comparisons: int, runs: int, blocks: int, parts: int, seed: int
) -> pd.DataFrame:
    """Return a frame like that of ``load_trials``, with the run of each trial."""
    shape = (runs, blocks, comparisons + parts)
    scaled = scaled_noise(noise, np.random.default_rng(seed), shape, DEVIATION)
    scaled[:, :, parts:] += math.log(TRUE_RATIO)
    run, block, trial = (index.ravel() for index in np.indices(shape))
    arm = np.maximum(trial - parts + 1, 0)
    return pd.DataFrame(
        {
            "run": run,
            "variant_id": [f"{r}-{a}" for r, a in zip(run, arm, strict=True)],
            "block": block,
            "part": trial % parts,
            "examples": 55_000,
            "invocation": 0,
            "session": 0,
            "status": "completed",
            "steady": "unclassified",
            "epoch_s": np.exp(scaled).ravel(),
            "settings": 0,
        }
    )


def _main() -> None:
    runs = int(sys.argv[1])
    for seed, noise in enumerate(NOISE):
        cells = []
        for comparisons in (1, 2, 4, 18):
            simulated = simulate(noise, comparisons, runs, seed=100 * seed + comparisons)
            covered, blocks = simulated.covered.mean(), simulated.blocks.mean()
            cells.append(f"{100 * covered:.1f} % ({blocks:.0f})")
        print(f"| {noise} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    _main()
