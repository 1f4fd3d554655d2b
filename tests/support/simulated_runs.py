"""Trial frames of many simulated runs at once, to feed whole runs through the analysis.

Usage:
    trials, pairs = two_arm_runs(epoch_times)          # (runs, blocks, arms, epochs), in seconds
    compare(trials, [{}], pairs, blocks_in(trials))    # one comparison per run
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis.statistics.steady_state import steady_verdicts
from bench.spec.pairing import Pair

Floats = np.ndarray[Any, np.dtype[np.float64]]

WARMUP, STEPS = 1, 100
"""Warm-up epochs of each trial, and steps of each epoch."""


def autoregressive(rng: np.random.Generator, shape: tuple[int, ...], correlation: float) -> Floats:
    """Return stationary series of unit deviation along the last axis, each an AR(1) process."""
    series = rng.standard_normal(shape)
    for i in range(1, shape[-1]):
        fresh = np.sqrt(1 - correlation**2) * series[..., i]
        series[..., i] = correlation * series[..., i - 1] + fresh
    return series


def two_arm_runs(epoch_s: Floats, sessions: int = 1) -> tuple[pd.DataFrame, list[Pair]]:
    """Return the trials of runs with two arms, and the pair of each run.

    ``epoch_s`` is runs by blocks by arms by epochs; the second arm is the baseline. Each trial has
    the median and the verdict that the analysis of records gives it.
    """
    runs, blocks, arms, epochs = epoch_s.shape
    run, block, arm = (index.ravel() for index in np.indices((runs, blocks, arms)))
    count = np.full(len(run), epochs)
    session = block * sessions // blocks
    trials = pd.DataFrame(
        {
            "variant_id": [f"{r}-{a}" for r, a in zip(run, arm, strict=True)],
            "block": block,
            "part": 0,
            "examples": 55_000,
            "invocation": session,
            "session": session,
            "settings": 0,
            "status": "completed",
            "epoch_s": np.median(epoch_s[..., WARMUP:], axis=-1).ravel(),
            "steady": steady_verdicts(
                count, epoch_s.ravel(), count * STEPS, np.full(len(run), WARMUP)
            ),
        }
    )
    pairs = [Pair(axis="norm", variant_id=f"{r}-0", baseline_id=f"{r}-1") for r in range(runs)]
    return trials, pairs


def blocks_in(trials: pd.DataFrame) -> Mapping[str, Mapping[int, int]]:
    """Return the number of trials in each block, by variant id, as of a run of these ``trials``."""
    counts: dict[str, Counter[int]] = {}
    arms = zip(trials["variant_id"].tolist(), trials["block"].tolist(), strict=True)
    for variant_id, block in arms:
        counts.setdefault(variant_id, Counter())[block] += 1
    return counts
