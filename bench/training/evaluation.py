"""Compute loss and accuracy on validation and test data, outside every timed window.

Usage:
    evaluator = Evaluator(variant, model)
    score = evaluator.score(images, labels)
"""

import math
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bench.spec.variant import Variant
from bench.training.data.examples import to_unit_range
from bench.training.loop.model_passes import penalty
from bench.training.loop.training_step import count_correct
from bench.training.model.precision import PRECISIONS

_Tensor = Any

BATCH_SIZE = 1000


@dataclass(frozen=True)
class Score:
    """Mean loss, including the penalties of layers, and accuracy, over all examples.

    A prediction with a NaN is never correct; argmax would turn it into class 0. If some
    predictions have one, or their loss is not finite, the loss is infinite. If all have one, the
    loss is NaN and the accuracy is None.
    """

    loss: float
    accuracy: float | None


class Evaluator:
    """A model's inference, compiled like its training."""

    def __init__(self, variant: Variant, model: keras.Model) -> None:
        self._model = model
        self._dtype = PRECISIONS[variant.precision].dtype
        self._sums = tf.function(
            self._batch_sums, autograph=False, jit_compile=variant.jit != "none"
        )

    def score(self, images: np.ndarray, labels: np.ndarray) -> Score:
        """Return the score on byte ``images`` (n, H, W, C) and ``labels`` (n,)."""
        loss, correct, valid, finite = 0.0, 0, 0, 0
        for first in range(0, len(images), BATCH_SIZE):
            rows = slice(first, first + BATCH_SIZE)
            sums = self._sums(tf.constant(images[rows]), tf.constant(labels[rows], tf.int64))
            loss += float(sums[0])
            correct, valid = correct + int(sums[1]), valid + int(sums[2])
            finite += int(sums[3])
        if not valid:
            return Score(math.nan, None)
        mean = loss / len(images) if finite == len(images) else math.inf
        return Score(mean, correct / len(images))

    def _batch_sums(self, images: _Tensor, labels: _Tensor) -> tuple[_Tensor, ...]:
        """Return a batch's loss, and its numbers of correct, NaN-free and finite-loss examples."""
        logits = self._model(to_unit_range(images, self._dtype), training=False)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        # An infinite logit is a prediction, though its loss is NaN.
        valid = tf.logical_not(tf.reduce_any(tf.math.is_nan(logits), axis=-1))
        has_loss = tf.logical_not(tf.math.is_nan(losses))
        loss = tf.reduce_sum(tf.where(has_loss, losses, tf.zeros_like(losses)))
        if penalties := self._model.losses:
            loss += images.shape[0] * penalty(penalties, loss.dtype)
        correct = count_correct(logits, tf.where(valid, labels, -tf.ones_like(labels)))
        return loss, correct, tf.math.count_nonzero(valid), tf.math.count_nonzero(has_loss)
