"""Find the variants whose epochs ``max_steps`` cuts short, in a frame of variants or trials.

Usage:
    capped = capped_epochs(variants)
    capped["run_steps"], capped["epoch_steps"]
"""

import pandas as pd


def capped_epochs(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of ``frame`` that are capped, with two columns more.

    ``run_steps`` are the steps that ran in an epoch, ``epoch_steps`` those of a whole one.
    """
    steps = frame["examples"] // frame["global_batch_size"]
    is_capped = (frame["max_steps"] < steps).fillna(False)
    capped = frame[is_capped]
    return capped.assign(run_steps=capped["max_steps"].astype(int), epoch_steps=steps[is_capped])
