"""Loss and accuracy on validation and test data, outside every timed window.

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
from bench.training.passes import penalty
from bench.training.precision import PRECISIONS
from bench.training.source import to_unit_range
from bench.training.step import count_correct

_Tensor = Any

BATCH_SIZE = 1000


@dataclass(frozen=True)
class Score:
    """Mean loss, with what layers add to it, and share of correct answers, over all examples.

    A prediction that is NaN is never correct; argmax would make class 0 of it. Where some
    predictions are NaN the loss is infinite. Where all are, it is NaN and accuracy is None.
    """

    loss: float
    accuracy: float | None


class Evaluator:
    """A model's inference, compiled as its training is."""

    def __init__(self, variant: Variant, model: keras.Model) -> None:
        self._model = model
        self._dtype = PRECISIONS[variant.precision].dtype
        self._sums = tf.function(
            self._batch_sums, autograph=False, jit_compile=variant.jit != "none"
        )

    def score(self, images: np.ndarray, labels: np.ndarray) -> Score:
        """The score on byte ``images`` (n, H, W, C) and ``labels`` (n,), all n of them."""
        loss, correct, valid = 0.0, 0, 0
        for first in range(0, len(images), BATCH_SIZE):
            part = slice(first, first + BATCH_SIZE)
            sums = self._sums(tf.constant(images[part]), tf.constant(labels[part], tf.int64))
            loss += float(sums[0])
            correct, valid = correct + int(sums[1]), valid + int(sums[2])
        if not valid:
            return Score(math.nan, None)
        mean = loss / len(images) if valid == len(images) else math.inf
        return Score(mean, correct / len(images))

    def _batch_sums(self, images: _Tensor, labels: _Tensor) -> tuple[_Tensor, ...]:
        """Of one batch: its loss, and how many predictions are correct and are not NaN."""
        logits = self._model(to_unit_range(images, self._dtype), training=False)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        valid = tf.logical_not(tf.math.is_nan(losses))
        loss = tf.reduce_sum(tf.where(valid, losses, tf.zeros_like(losses)))
        if penalties := self._model.losses:
            loss += images.shape[0] * penalty(penalties, loss.dtype)
        correct = count_correct(logits, tf.where(valid, labels, -tf.ones_like(labels)))
        return loss, correct, tf.math.count_nonzero(valid)
