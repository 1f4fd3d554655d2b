"""The score on validation and test data."""

import math
from typing import cast

import keras
import numpy as np
import pytest
import tensorflow as tf

from bench.training.evaluation import BATCH_SIZE, Evaluator
from bench.training.model.models import build_model
from tests.support.training_setup import small, snapshot


@pytest.mark.parametrize("count", [1, BATCH_SIZE - 1, BATCH_SIZE, 2 * BATCH_SIZE + 7])
@pytest.mark.parametrize("jit", ["none", "epoch"])
def test_the_score_is_that_of_all_examples_at_once(jit: str, count: int) -> None:
    variant = small(norm="bn_post", jit=jit)
    model = build_model(variant, (4, 4, 1), 5, seed=1)
    generator = np.random.default_rng(count)
    images = generator.integers(0, 256, (count, 4, 4, 1), dtype=np.uint8)
    labels = generator.integers(0, 5, count).astype(np.int32)
    score = Evaluator(variant, model).score(images, labels)
    logits = model(images.astype(np.float32) / 255.0, training=False)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits).numpy()
    assert score.loss == pytest.approx(losses.mean(), rel=1e-5)
    assert score.accuracy == (np.argmax(logits, 1) == labels).mean()


@pytest.mark.parametrize("jit", ["none", "epoch"])
def test_a_prediction_that_is_nan_is_never_correct(jit: str) -> None:
    variant = small(jit=jit)
    model = build_model(variant, (4, 4, 1), 5, seed=1)
    evaluator = Evaluator(variant, model)
    images, labels = np.full((9, 4, 4, 1), 200, np.uint8), np.zeros(9, np.int32)
    model.layers[-1].bias.assign(np.full(5, np.nan, np.float32))
    score = evaluator.score(images, labels)
    assert math.isnan(score.loss)
    assert score.accuracy is None


def test_if_some_predictions_are_nan_the_others_count() -> None:
    class PartlyNan:
        """A model that predicts class 0 with certainty, or NaN for white images."""

        losses = ()

        def __call__(self, images: tf.Tensor, **_: bool) -> tf.Tensor:
            logits = tf.one_hot([0] * images.shape[0], 5, on_value=9.0)
            white = images[:, 0, 0, :] > 0.5
            return tf.where(white, tf.fill(tf.shape(logits), math.nan), logits)

    images, labels = np.zeros((4, 4, 4, 1), np.uint8), np.array([0, 0, 0, 1], np.int32)
    images[0] = 255
    score = Evaluator(small(), cast("keras.Model", PartlyNan())).score(images, labels)
    assert (score.loss, score.accuracy) == (math.inf, 2 / 4)


@pytest.mark.parametrize("label", [0, 1])
def test_an_infinite_logit_is_a_prediction(label: int) -> None:
    variant = small()
    model = build_model(variant, (4, 4, 1), 5, seed=1)
    model.layers[-1].bias.assign(np.array([math.inf, 0, 0, 0, 0], np.float32))
    images, labels = np.full((9, 4, 4, 1), 200, np.uint8), np.full(9, label, np.int32)
    score = Evaluator(variant, model).score(images, labels)
    assert (score.loss, score.accuracy) == (math.inf, float(label == 0))


def test_scoring_changes_no_variable() -> None:
    variant = small(norm="bn_post")
    model = build_model(variant, (4, 4, 1), 5, seed=1)
    before = snapshot(model.variables)
    images = np.full((9, 4, 4, 1), 200, np.uint8)
    Evaluator(variant, model).score(images, np.zeros(9, np.int32))
    for old, new in zip(before, snapshot(model.variables), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_score_follows_the_weights() -> None:
    variant = small()
    model = build_model(variant, (4, 4, 1), 5, seed=1)
    evaluator = Evaluator(variant, model)
    images, labels = np.full((9, 4, 4, 1), 200, np.uint8), np.zeros(9, np.int32)
    for label in (0, 3):
        model.layers[-1].bias.assign(1e6 * np.eye(5, dtype=np.float32)[label])
        assert evaluator.score(images, labels).accuracy == float(label == 0)
