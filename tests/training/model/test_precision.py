"""Each precision has the right dtypes."""

from typing import get_args

import keras
import pytest

from bench.spec.axis_values import Precision
from bench.training.model.precision import PRECISIONS


def test_every_precision_of_a_suite_is_known() -> None:
    assert set(PRECISIONS) == set(get_args(Precision))


@pytest.mark.parametrize("name", PRECISIONS)
def test_keras_knows_the_policy_and_weights_have_the_dtype_of_the_loss(name: str) -> None:
    kind = PRECISIONS[name]
    assert keras.DTypePolicy(kind.policy).variable_dtype == kind.dtype


def test_only_float16_needs_its_loss_scaled() -> None:
    assert [name for name, kind in PRECISIONS.items() if kind.scales_loss] == ["mixed_float16"]


def test_tf32_is_off_for_exact_precisions() -> None:
    exact = {name for name, kind in PRECISIONS.items() if not kind.tf32}
    assert exact == {"float32_strict", "float64"}
