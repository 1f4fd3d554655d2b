"""One training step: the passes on each replica, one exchange between them, the update.

Usage:
    step = TrainingStep(variant, model, update, feed, replicas)
    loss, correct, clipped, skipped = step(*taken)      # in a compiled loop

``jit = "step"`` has XLA compile the step; where there are several replicas, only its passes.
"""

import functools
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from bench.spec.variant import Variant
from bench.training.data.pipeline import Feed
from bench.training.failures import WorkloadError
from bench.training.loop.gradient_update import GradientUpdate
from bench.training.loop.model_passes import dense_gradients, forward, penalty
from bench.training.model.precision import PRECISIONS
from bench.training.refusals import whole_tracebacks
from bench.training.strategy import Replicas

_Tensor = Any


class TrainingStep:
    """A step of training, over all replicas."""

    def __init__(
        self,
        variant: Variant,
        model: keras.Model,
        update: GradientUpdate,
        feed: Feed,
        replicas: Replicas,
    ) -> None:
        self._variant, self._model, self._update = variant, model, update
        self._feed, self._replicas = feed, replicas
        compiled = functools.partial(tf.function, autograph=False, jit_compile=True)
        # XLA cannot compile variables of several replicas: of their step, only the passes.
        self._train = compiled(self._train_on) if self.compiled == "step" else self._train_on
        self.without_gradient: list[str] = []
        """Variables that the loss does not depend on, once the passes are traced."""
        by_passes = self.compiled == "passes"
        self._passes = compiled(self._pure_passes) if by_passes else self._pure_passes

    @property
    def compiled(self) -> str:
        """What XLA compiles of the training: none, passes, step or epoch."""
        jit = self._variant.jit
        return "passes" if jit == "step" and self._replicas.count > 1 else jit

    @property
    def variables(self) -> list[Any]:
        """All that a step changes."""
        return [*self._model.variables, *self._update.variables]

    def __call__(self, *taken: Any) -> tuple[_Tensor, ...]:
        """Its loss (mean over the global batch), correct, clipped and skipped.

        ``taken`` is what the feed made the step's batch from. Loss and correct are 0 where the
        step was skipped.
        """
        stepped: tuple[_Tensor, ...] = self._train(*taken)
        return stepped

    def passes_of_replica(self, shape: Sequence[int]) -> Any:
        """One replica's passes as a concrete function, for counting their operations."""
        size = self._variant.per_replica_batch_size
        images = tf.TensorSpec((size, *shape), PRECISIONS[self._variant.precision].dtype)
        labels = tf.TensorSpec((size,), tf.int64)
        trained, kept = (
            [tf.TensorSpec(v.shape, v.dtype) for v in variables]
            for variables in (self._model.trainable_variables, self._model.non_trainable_variables)
        )
        passes = tf.function(self._pure_passes, autograph=False)
        return passes.get_concrete_function(trained, kept, tf.TensorSpec(()), images, labels)

    def _train_on(self, *taken: Any) -> tuple[_Tensor, ...]:
        of_replicas = self._replicas.run(self._on_replica, taken)
        gradients, *agreed = of_replicas
        loss, correct, clipped, finite = self._replicas.first(agreed)
        skipped = self._update.apply(gradients, agreed[-1])
        return *self._update.counted((loss, correct), finite), clipped, skipped

    def _on_replica(self, *taken: Any) -> tuple[Any, ...]:
        # Where there are several, each is traced in a thread of its own.
        with whole_tracebacks():
            return self._differentiate(*taken)

    def _differentiate(self, *taken: Any) -> tuple[Any, ...]:
        """The step's gradients and metrics, over the whole global batch."""
        images, labels = self._feed.batch(*taken)
        trained = [tf.convert_to_tensor(v.value) for v in self._model.trainable_variables]
        kept = [tf.convert_to_tensor(v.value) for v in self._model.non_trainable_variables]
        scale = self._update.loss_factor()
        passed, kept_after = self._passes(trained, kept, scale, images, labels)
        *gradients, loss, correct = self._replicas.sum_over_all(passed)
        prepared = self._update.prepare(gradients)
        self._update.keep(self._model.non_trainable_variables, kept, kept_after, prepared.finite)
        correct = tf.cast(correct, tf.int64)
        return prepared.gradients, loss, correct, prepared.clipped, prepared.finite

    def _pure_passes(
        self,
        trained: Sequence[_Tensor],
        kept: Sequence[_Tensor],
        scale: _Tensor,
        images: _Tensor,
        labels: _Tensor,
    ) -> tuple[list[_Tensor], list[_Tensor]]:
        """Of weights as tensors: gradients, loss and correct of a part of the global batch.

        And the new values of what training changes without a gradient, batch norm's averages.
        """
        with tf.GradientTape() as tape:
            tape.watch(trained)
            logits, kept_after, penalties = forward(self._model, trained, kept, images)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            loss = tf.reduce_sum(losses) / self._variant.global_batch_size
            if penalties:
                # Each replica's share: of weights all have the same, of activations each its part.
                loss += penalty(penalties, loss.dtype) / self._replicas.count
            scaled = loss * tf.cast(scale, loss.dtype)
        found = tape.gradient(scaled, trained)
        self.without_gradient = _without_gradient(self._model, found)
        gradients = dense_gradients(found, trained)
        # Sums over replicas are exchanged together, so all have the loss's dtype.
        correct = tf.cast(count_correct(logits, labels), loss.dtype)
        return [*gradients, loss, correct], kept_after


def _without_gradient(model: keras.Model, gradients: Sequence[_Tensor | None]) -> list[str]:
    """The variables that have none; WorkloadError where only the last layer's have one."""
    lacking = [
        variable
        for variable, gradient in zip(model.trainable_variables, gradients, strict=True)
        if gradient is None
    ]
    last = len(model.layers[-1].trainable_variables)
    # Where layers have trainable=False, the last alone may be meant to learn.
    is_frozen = any(layer.weights and not layer.trainable for layer in model.layers[:-1])
    if not is_frozen and 0 < len(lacking) == len(gradients) - last:
        raise WorkloadError(
            "no variable of the network has a gradient, but for its last layer's: nothing that the "
            "loss depends on may be cut off by stop_gradient, or by what has no derivative"
        )
    return [variable.path for variable in lacking]


def count_correct(logits: _Tensor, labels: _Tensor) -> _Tensor:
    """How many of ``labels`` (n,) are where their row of ``logits`` (n, classes) is largest."""
    predicted = tf.argmax(logits, axis=-1, output_type=tf.int64)
    return tf.reduce_sum(tf.cast(tf.equal(predicted, labels), tf.int64))
