"""Trials for tests that must not import TensorFlow.

Usage:
    trial = trial_labelled("hang", hidden=[8])
"""

from typing import Any

from bench.spec.defaults import fill_defaults
from bench.spec.plan import Trial
from bench.spec.variant import Variant


def trial_labelled(label: str, seed: int = 1, **axes: Any) -> Trial:
    """Return a single trial of the default variant, changed by ``axes``."""
    variant = Variant.model_validate(fill_defaults(axes))
    return Trial(
        trial_id=f"b000-{variant.id}",
        variant_id=variant.id,
        label=label,
        block=0,
        order=0,
        seed=seed,
        variant=variant,
    )
