"""Simulate sweeps over sizes, and count the answers to the large-data question.

Usage:
    answers_of("costs nothing", "normal", blocks=5, runs=200)["no"]      # 0

    python -m tests.support.claim_runs 200      # the table in docs/methodology.md
"""

import sys
from collections import Counter

import numpy as np
import pandas as pd

from bench.analysis.questions.large_data_claim import ratio_trends
from tests.support.noise_models import NOISE, scaled_noise
from tests.support.sample_frames import make_trials

SIZES = [64_000, 640_000, 6_400_000]
DEVIATION = 0.01
"""Standard deviation of a block's log ratio."""
SHARED_DEVIATION = 0.015
"""Standard deviation of what all trials of a block have in common."""
COSTS: dict[str, tuple[float, float]] = {
    "none": (0.1, 1.0),
    "2 to 0": (0.1033, 1.0),
    "30 to 1": (0.15, 1.0),
    "3 at every size": (0.103, 1.03),
    "5 at every size, the margin": (0.105, 1.05),
    "1,800 to 45, still falling": (3.0, 1.0),
    "560 to 53, levels off at 40": (1.0, 1.4),
    "20 at every size": (0.12, 1.2),
}
"""Seconds an epoch and microseconds an example with the technique, by its cost at the smallest and
the largest size in per cent; the baseline has 0.1 s and 1 us."""
_RUNS_AT_ONCE = 20


def answers_of(cost: str, noise: str, *, blocks: int, runs: int, seed: int = 1) -> Counter[str]:
    """Return how often each answer is given, over whole simulated runs."""
    frame = make_trials(
        {"norm": ["none", "bn_post"], "examples": SIZES}, blocks=blocks, seconds=lambda *_: 1.0
    )
    arm = (frame["norm"] == "bn_post").to_numpy().astype(int)
    size, block = frame["examples"].map(SIZES.index).to_numpy(), frame["block"].to_numpy()
    fixed_s, marginal_us = COSTS[cost]
    exact_s = np.where(arm == 1, fixed_s, 0.1) + 1e-6 * frame["examples"].to_numpy() * np.where(
        arm == 1, marginal_us, 1.0
    )
    rng = np.random.default_rng(seed)
    shared = rng.normal(0, SHARED_DEVIATION, (runs, blocks))
    by_size = [scaled_noise(noise, rng, (runs, blocks, 2), DEVIATION) for _ in SIZES]
    logs = np.stack(by_size, axis=2) + shared[:, :, None, None]
    # Runs differ in an axis, so that one call answers for many.
    all_runs = [
        frame.assign(
            variant_id=frame["variant_id"] + str(run),
            learning_rate=1e-3 * (1 + run),
            epoch_s=exact_s * np.exp(logs[run, block, size, arm]),
        )
        for run in range(runs)
    ]
    answers: Counter[str] = Counter()
    for first in range(0, runs, _RUNS_AT_ONCE):
        trials = pd.concat(all_runs[first : first + _RUNS_AT_ONCE], ignore_index=True)
        answers.update(trend.answer for trend in ratio_trends(trials, "norm", "none"))
    assert answers.total() == runs
    return answers


def _main() -> None:
    runs = int(sys.argv[1])
    for seed, (cost, noise) in enumerate((c, n) for c in COSTS for n in NOISE):
        cells = []
        for blocks in (3, 5):
            answers = answers_of(cost, noise, blocks=blocks, runs=runs, seed=10 * seed + blocks)
            cells += [f"{100 * answers[answer] / runs:.3g} %" for answer in ("yes", "no")]
        print(f"| {cost} | {noise} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    _main()
