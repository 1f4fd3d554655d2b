"""Loss and accuracy on validation and test data, outside every timed window.

Usage:
    evaluator = Evaluator(variant, model)
    score = evaluator.score(images, labels)
"""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bench.spec.variant import Variant
from bench.training.precision import PRECISIONS
from bench.training.source import to_unit_range
from bench.training.step import count_correct

_Tensor = Any

BATCH_SIZE = 1000


@dataclass(frozen=True)
class Score:
    """Mean loss and share of correct answers."""

    loss: float
    accuracy: float


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
        loss, correct = 0.0, 0
        for first in range(0, len(images), BATCH_SIZE):
            part = slice(first, first + BATCH_SIZE)
            sums = self._sums(tf.constant(images[part]), tf.constant(labels[part], tf.int64))
            loss, correct = loss + float(sums[0]), correct + int(sums[1])
        return Score(loss / len(images), correct / len(images))

    def _batch_sums(self, images: _Tensor, labels: _Tensor) -> tuple[_Tensor, _Tensor]:
        logits = self._model(to_unit_range(images, self._dtype), training=False)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        return tf.reduce_sum(losses), count_correct(logits, labels)
