"""Set up tests of training: variants, small data, a program and its parts.

Usage:
    setup = make_program(variant_of(norm="bn_post", hidden=[8]))
    setup.program.cold_start()
    setup.program.run_epoch(0)
"""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from hypothesis import settings

from bench.datasets.arrays import Arrays
from bench.datasets.synthetic import make_synthetic
from bench.records.trial_record import TrialRecord
from bench.spec.defaults import fill_defaults
from bench.spec.plan import Trial
from bench.spec.variant import Variant
from bench.training.data.pipeline import Feed, make_feed
from bench.training.device_strategy import make_replicas
from bench.training.loop.compiled_epoch import CompiledEpoch
from bench.training.loop.gradient_update import GradientUpdate
from bench.training.model.models import build_model
from bench.training.replicas import Replicas

SMALL: dict[str, Any] = {
    "dataset": "synthetic",
    "shape": [4, 4, 1],
    "classes": 5,
    "hidden": [16, 8],
    "filters": [3, 5],
    "examples": 700,
    "global_batch_size": 32,
    "learning_rate": 0.05,
}
"""A variant that trains quickly: 21 steps an epoch, and 28 examples left out."""

FEW = settings(max_examples=30, deadline=None)
"""For properties whose examples run TensorFlow, whose first call of each shape is slow."""


def variant_of(**axes: Any) -> Variant:
    """Return the notebook's variant, changed by ``axes``."""
    return Variant.model_validate(fill_defaults(axes))


def small(**axes: Any) -> Variant:
    """Return a small synthetic variant, changed by ``axes``."""
    return variant_of(**{**SMALL, **axes})


def arrays_of(variant: Variant) -> Arrays:
    """Return the synthetic data of a variant."""
    return make_synthetic(variant.shape, variant.classes, variant.examples)


def trial_of(variant: Variant, seed: int = 1) -> Trial:
    """Return a single trial of a variant."""
    return Trial(
        trial_id=f"b000-{variant.id}",
        variant_id=variant.id,
        label="test",
        block=0,
        order=0,
        seed=seed,
        variant=variant,
    )


@dataclass(frozen=True)
class TrainingSetup:
    """A program and its parts."""

    program: CompiledEpoch
    model: keras.Model
    update: GradientUpdate
    feed: Feed
    replicas: Replicas

    @property
    def state(self) -> list[Any]:
        """All variables that a step may change."""
        return [*self.model.variables, *self.update.variables]


def make_program(
    variant: Variant, seed: int = 1, arrays: Arrays | None = None, **options: Any
) -> TrainingSetup:
    """Return a program on synthetic data; ``options`` go to ``CompiledEpoch``."""
    arrays = arrays or arrays_of(variant)
    replicas = make_replicas(variant)
    feed = make_feed(variant, arrays, seed, replicas)
    model = build_model(variant, arrays.shape, arrays.classes, seed)
    update = GradientUpdate(variant, model, replicas)
    program = CompiledEpoch(variant, model, update, feed, replicas, **options)
    return TrainingSetup(program, model, update, feed, replicas)


def snapshot(variables: Sequence[Any]) -> list[np.ndarray]:
    """Copy the values of Keras or TensorFlow ``variables``."""
    return [np.array(variable.numpy()) for variable in variables]


def train_fresh(variant: Variant, seed: int = 1) -> TrialRecord:
    """Run a trial in a fresh process, on synthetic data."""
    code = _TRAIN.format(trial=trial_of(variant, seed).model_dump_json())
    return TrialRecord.model_validate_json(run_fresh(code).splitlines()[-1])


def run_fresh(code: str) -> str:
    """Return what ``code`` prints in a fresh Python process; fail if it raises or warns."""
    command = [sys.executable, "-W", "error", "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-4000:]
    return result.stdout


_TRAIN = """
from bench.spec.plan import Trial
from bench.training.trial import train
from tests.support.training_setup import arrays_of
trial = Trial.model_validate_json({trial!r})
print(train(trial, lambda: arrays_of(trial.variant), threads=1).model_dump_json())
"""


class SteppingClock:
    """A clock that advances by one second at each reading; a test may advance ``now`` further."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now
