"""10,000 trials for 1,000 simulated GPUs, in nodes of eight.

Usage:
    blocks = mixed_blocks()
    executor = SimulatedExecutor(NODES, epoch_s)
"""

import functools
import random

from bench.execution.estimation.estimator import estimated_epoch_s
from bench.spec.defaults import fill_defaults
from bench.spec.plan import Block, Trial
from bench.spec.variant import Variant

NODES = (8,) * 125
TRIALS = 10_000
_GROUP_SIZES = ((1, 1), (1, 2), (1, 4), (1, 8), (2, 2), (2, 8), (4, 8), (8, 4))
"""Workers, and replicas of each."""


@functools.cache
def _variant(workers: int, replicas: int, epochs: int, placement: str) -> Variant:
    total = workers * replicas
    asked = {
        "strategy": "one_device" if total == 1 else "mirrored" if workers == 1 else "multi_worker",
        "workers": workers,
        "replicas": replicas,
        "placement": placement,
        "epochs": epochs,
        "per_replica_batch_size": 32,
    }
    return Variant.model_validate(fill_defaults(asked))


def mixed_blocks(seed: int = 1) -> list[Block]:
    """Five repeats of blocks of one trial: one device, several, several nodes; short and long."""
    rng = random.Random(seed)
    blocks = []
    for number in range(TRIALS):
        workers, replicas = rng.choices(_GROUP_SIZES, weights=(40, 20, 15, 10, 5, 4, 3, 3))[0]
        epochs = min(120, max(2, round(rng.lognormvariate(3.7, 0.5))))
        variant = _variant(workers, replicas, epochs, rng.choice(("pack", "spread")))
        trial = Trial(
            trial_id=f"b{number:05d}-{variant.id}",
            variant_id=variant.id,
            label="made",
            block=number // (TRIALS // 5),
            order=number,
            seed=1,
            variant=variant,
        )
        blocks.append(Block(repeat=trial.block, trials=(trial,)))
    return blocks


def epoch_s(trial: Trial) -> float:
    """As guessed, a tenth more or less by trial."""
    return estimated_epoch_s(trial.variant) * random.Random(trial.trial_id).lognormvariate(0, 0.1)
