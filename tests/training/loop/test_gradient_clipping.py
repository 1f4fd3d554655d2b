"""Clipping bounds what its kind names, and changes nothing else."""

import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from bench.training.loop.gradient_clipping import clip_gradients
from tests.support.training_setup import FEW

KINDS = ("value", "norm", "global_norm")
NUMBERS = st.floats(-1e6, 1e6, width=32)
TENSORS = st.lists(st.lists(NUMBERS, min_size=1, max_size=5), min_size=1, max_size=4)
THRESHOLDS = st.floats(0.01, 100.0)


def clipped(
    gradients: list[list[float]], kind: str, threshold: float = 1.0
) -> tuple[list[np.ndarray], int]:
    tensors = [tf.constant(g, tf.float64) for g in gradients]
    after, changed = clip_gradients(tensors, kind, threshold)
    return [g.numpy() for g in after], int(changed)


def norm_over_all(gradients: list[np.ndarray]) -> float:
    return math.sqrt(sum(float(np.square(g).sum()) for g in gradients))


def test_clip_by_value_gives_the_notebooks_numbers() -> None:
    ((first, second),), changed = clipped([[0.9, 100.0]], "value")
    assert (first, second, changed) == (0.9, 1.0, 1)


def test_clip_by_norm_gives_the_notebooks_numbers() -> None:
    for kind in ("norm", "global_norm"):
        (actual,), changed = clipped([[0.9, 100.0]], kind)
        np.testing.assert_allclose(actual, [0.00899964, 0.9999595], atol=5e-9)
        assert changed == 1


def test_global_norm_scales_all_tensors_together_and_norm_each_separately() -> None:
    pair = [[3.0], [4.0]]
    assert [float(g[0]) for g in clipped(pair, "norm")[0]] == [1.0, 1.0]
    np.testing.assert_allclose(np.concatenate(clipped(pair, "global_norm")[0]), [0.6, 0.8])


@FEW
@given(TENSORS, THRESHOLDS)
def test_clip_by_value_bounds_each_element_and_leaves_those_inside(
    gradients: list[list[float]], threshold: float
) -> None:
    after, changed = clipped(gradients, "value", threshold)
    before = np.concatenate(gradients)
    np.testing.assert_array_equal(np.concatenate(after), np.clip(before, -threshold, threshold))
    assert changed == int((np.abs(before) > threshold).any())


@FEW
@given(TENSORS, THRESHOLDS)
def test_clip_by_norm_bounds_each_norm_and_keeps_its_direction(
    gradients: list[list[float]], threshold: float
) -> None:
    after, changed = clipped(gradients, "norm", threshold)
    norms = [float(np.linalg.norm(g)) for g in gradients]
    for before, actual, norm in zip(gradients, after, norms, strict=True):
        expected = np.array(before) * (threshold / norm if norm > threshold else 1.0)
        np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12 * threshold)
    assert changed == int(max(norms) > threshold)


@FEW
@given(TENSORS, THRESHOLDS)
def test_clip_by_global_norm_bounds_it_with_one_factor(
    gradients: list[list[float]], threshold: float
) -> None:
    after, changed = clipped(gradients, "global_norm", threshold)
    norm = norm_over_all([np.array(g) for g in gradients])
    assert norm_over_all(after) <= threshold * (1 + 1e-12) or changed == 0
    factor = threshold / norm if norm > threshold else 1.0
    np.testing.assert_allclose(
        np.concatenate(after), np.concatenate(gradients) * factor, rtol=1e-12, atol=1e-300
    )
    assert changed == int(norm > threshold)


@FEW
@given(TENSORS, st.sampled_from(KINDS))
def test_gradients_below_the_threshold_are_unchanged(
    gradients: list[list[float]], kind: str
) -> None:
    after, changed = clipped(gradients, kind, threshold=1e8)
    np.testing.assert_array_equal(np.concatenate(after), np.concatenate(gradients))
    assert changed == 0


def test_without_clipping_nothing_is_changed_or_counted() -> None:
    (actual,), changed = clipped([[0.9, 100.0]], "none")
    assert (actual.tolist(), changed) == ([0.9, 100.0], 0)


@pytest.mark.parametrize("kind", ["norm", "global_norm"])
@pytest.mark.parametrize("broken", [math.inf, math.nan])
def test_a_broken_gradient_stays_visible(kind: str, broken: float) -> None:
    after, _ = clipped([[1.0, broken]], kind)
    assert not np.isfinite(np.concatenate(after)).all()
