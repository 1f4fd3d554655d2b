"""A trial reports the peak of device memory of training, not of validation."""

import json
from pathlib import Path

import pytest

from tests.cuda.conftest import run_python
from tests.cuda.measured_epoch import MeasuredEpoch, measure
from tests.cuda.stack import Stack
from tests.support.training_setup import trial_of, variant_of

pytestmark = pytest.mark.slow

TRAIN = """
from bench.spec.plan import Trial
from bench.training.trial import train
from tests.support.training_setup import arrays_of
trial = Trial.model_validate_json({trial!r})
print(train(trial, lambda: arrays_of(trial.variant), threads=2).model_dump_json())
"""


def test_validation_adds_nothing_to_the_peak_of_training(cuda_stack: Stack, tmp_path: Path) -> None:
    variant = variant_of(
        dataset="synthetic", examples=5500, hidden=(20,), epochs=1, max_steps=10, jit="none"
    )
    (measured,) = measure(cuda_stack, [variant], gpus=1, folder=tmp_path)
    assert isinstance(measured, MeasuredEpoch), measured
    code = TRAIN.format(trial=trial_of(variant).model_dump_json())
    record = json.loads(run_python(code, cuda_stack.environment()).splitlines()[-1])
    assert record["status"] in ("completed", "diverged")
    # TensorFlow's rounding of allocations, and the remainder of the cold start, differ.
    assert record["measures"]["peak_device_memory_bytes"] < 1.05 * measured.peak_memory_bytes[0]
