"""Frames like those of ``load_trials``, from simulated times and without a run folder.

Usage:
    trials = make_trials({"norm": ["none", "bn_post"]}, blocks=5, seconds=lambda row, rng: 1.0)
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench.spec.defaults import fill_defaults
from bench.spec.variant import Variant

Seconds = Callable[[Mapping[str, Any], np.random.Generator], float]


def make_trials(
    matrix: Mapping[str, Sequence[Any]],
    *,
    blocks: int,
    seconds: Seconds,
    sessions: int = 1,
    seed: int = 1,
) -> pd.DataFrame:
    """Return a completed trial per cell of ``matrix`` in each of ``blocks`` blocks per session."""
    rng = np.random.default_rng(seed)
    cells = [
        dict(zip(matrix, values, strict=True)) for values in itertools.product(*matrix.values())
    ]
    variants = [Variant.model_validate(fill_defaults(cell)) for cell in cells]
    rows = []
    for block in range(blocks * sessions):
        for cell, variant in zip(cells, variants, strict=True):
            row: dict[str, Any] = {
                **{
                    k: str(v) if isinstance(v, tuple) else v
                    for k, v in variant.model_dump().items()
                },
                "trial_id": f"{variant.id}-{block}",
                "variant_id": variant.id,
                "label": ", ".join(f"{k}={v}" for k, v in cell.items()),
                "block": block,
                "part": 0,
                "invocation": block // blocks,
                "session": block // blocks,
                "status": "completed",
                "steady": "unclassified",
                "test_accuracy": 0.8,
            }
            time = seconds(row, rng)
            rows.append({**row, "epoch_s": time, "train_s": time * variant.epochs})
    return pd.DataFrame(rows)
