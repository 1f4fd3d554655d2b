"""Initializers have the variance of their formulas."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from bench.training.model.layers import INITIALIZERS

_FAN: dict[str, Callable[[int, int], float]] = {
    "he": lambda i, _: i,
    "lecun": lambda i, _: i,
    "glorot": lambda i, o: (i + o) / 2,
}
_GAIN = {"he": 2.0, "lecun": 1.0, "glorot": 1.0}


@pytest.mark.parametrize("name", [n for n in INITIALIZERS if n.startswith(("he", "le", "gl"))])
def test_scaled_initializers_have_the_variance_of_their_formula(name: str) -> None:
    rows, columns = 400, 250
    kernel = np.asarray(INITIALIZERS[name](11)((rows, columns)), np.float64)
    family, shape = name.split("_")
    variance = _GAIN[family] / _FAN[family](rows, columns)
    # 100,000 values: their variance has a relative standard error of at most 0.45 %.
    assert kernel.var() == pytest.approx(variance, rel=0.02)
    assert abs(kernel.mean()) < 5 * math.sqrt(variance / kernel.size)
    largest = np.abs(kernel).max() / math.sqrt(variance)
    if shape == "uniform":
        assert 0.99 * math.sqrt(3) < largest <= math.sqrt(3) * (1 + 1e-6)
    else:  # Keras truncates the normal at two deviations and widens it to keep the variance.
        assert math.sqrt(3) < largest < 2.3


def test_the_other_initializers_match_their_names() -> None:
    kernel = np.asarray(INITIALIZERS["standard_normal"](11)((400, 250)))
    assert kernel.std() == pytest.approx(1.0, rel=0.01)
    assert np.abs(kernel).max() > 3.5
    assert (np.asarray(INITIALIZERS["zeros"](1)((3, 4))) == 0).all()
    assert (np.asarray(INITIALIZERS["ones"](1)((3, 4))) == 1).all()
