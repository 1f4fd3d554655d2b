"""Run one training step: the passes on each replica, one all-reduce, the update.

Usage:
    step = TrainingStep(variant, model, update, feed, replicas)
    loss, correct, clipped, skipped = step(*raw)      # in a compiled loop

With ``jit = "step"`` XLA compiles the step, or with several replicas only its passes.
"""

import functools
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from bench.spec.variant import Variant
from bench.training.data.pipeline import Feed
from bench.training.exceptions import WorkloadError
from bench.training.loop.gradient_update import GradientUpdate
from bench.training.loop.model_passes import dense_gradients, forward, penalty
from bench.training.model.precision import PRECISIONS
from bench.training.replicas import Replicas
from bench.training.tensorflow_refusal import full_tracebacks

_Tensor = Any


class TrainingStep:
    """A training step over all replicas."""

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
        compile_with_xla = functools.partial(tf.function, autograph=False, jit_compile=True)
        # XLA cannot compile variables of several replicas: of their step, only the passes.
        is_step = self.compiled == "step"
        self._train = compile_with_xla(self._train_on) if is_step else self._train_on
        self.without_gradient: list[str] = []
        """Paths of variables that the loss does not depend on; set when the passes are traced."""
        by_passes = self.compiled == "passes"
        self._passes = compile_with_xla(self._pure_passes) if by_passes else self._pure_passes

    @property
    def compiled(self) -> str:
        """The part of training that XLA compiles: none, passes, step or epoch."""
        jit = self._variant.jit
        return "passes" if jit == "step" and self._replicas.count > 1 else jit

    @property
    def variables(self) -> list[Any]:
        """All variables that a step changes."""
        return [*self._model.variables, *self._update.variables]

    def __call__(self, *raw: Any) -> tuple[_Tensor, ...]:
        """Return its loss (mean over the global batch), correct, clipped and skipped.

        ``raw`` is what the feed fetched for the step. Loss and correct are 0 if the step was
        skipped.
        """
        results: tuple[_Tensor, ...] = self._train(*raw)
        return results

    def passes_of_replica(self, shape: Sequence[int]) -> Any:
        """Return one replica's passes as a concrete function, for counting their operations."""
        size = self._variant.per_replica_batch_size
        images = tf.TensorSpec((size, *shape), PRECISIONS[self._variant.precision].dtype)
        labels = tf.TensorSpec((size,), tf.int64)
        weights, state = (
            [tf.TensorSpec(v.shape, v.dtype) for v in variables]
            for variables in (self._model.trainable_variables, self._model.non_trainable_variables)
        )
        passes = tf.function(self._pure_passes, autograph=False)
        return passes.get_concrete_function(weights, state, tf.TensorSpec(()), images, labels)

    def _train_on(self, *raw: Any) -> tuple[_Tensor, ...]:
        gradients, *metrics = self._replicas.run(self._on_replica, raw)
        loss, correct, clipped, finite = self._replicas.first(metrics)
        skipped = self._update.apply(gradients, metrics[-1])
        return *self._update.mask_skipped((loss, correct), finite), clipped, skipped

    def _on_replica(self, *raw: Any) -> tuple[Any, ...]:
        # TensorFlow traces each of several replicas in its own thread.
        with full_tracebacks():
            return self._differentiate(*raw)

    def _differentiate(self, *raw: Any) -> tuple[Any, ...]:
        """Return the step's gradients and metrics over the global batch."""
        images, labels = self._feed.batch(*raw)
        weights = [tf.convert_to_tensor(v.value) for v in self._model.trainable_variables]
        state = [tf.convert_to_tensor(v.value) for v in self._model.non_trainable_variables]
        scale = self._update.loss_factor()
        sums, new_state = self._passes(weights, state, scale, images, labels)
        *gradients, loss, correct = self._replicas.sum_over_all(sums)
        prepared = self._update.prepare(gradients)
        self._update.assign_state(
            self._model.non_trainable_variables, state, new_state, prepared.finite
        )
        correct = tf.cast(correct, tf.int64)
        return prepared.gradients, loss, correct, prepared.clipped, prepared.finite

    def _pure_passes(
        self,
        weights: Sequence[_Tensor],
        state: Sequence[_Tensor],
        scale: _Tensor,
        images: _Tensor,
        labels: _Tensor,
    ) -> tuple[list[_Tensor], list[_Tensor]]:
        """Return gradients, loss and correct of a part of the global batch, and the new state.

        The state is that of variables without a gradient, such as batch norm's averages.
        """
        with tf.GradientTape() as tape:
            tape.watch(weights)
            logits, new_state, penalties = forward(self._model, weights, state, images)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            loss = tf.reduce_sum(losses) / self._variant.global_batch_size
            if penalties:
                # A replica's share: a penalty on weights is equal on all replicas, and one on
                # activations covers the replica's part of the batch.
                loss += penalty(penalties, loss.dtype) / self._replicas.count
            scaled = loss * tf.cast(scale, loss.dtype)
        sparse_gradients = tape.gradient(scaled, weights)
        self.without_gradient = _without_gradient(self._model, sparse_gradients)
        gradients = dense_gradients(sparse_gradients, weights)
        # One all-reduce sums these over the replicas, so all have the loss's dtype.
        correct = tf.cast(count_correct(logits, labels), loss.dtype)
        return [*gradients, loss, correct], new_state


def _without_gradient(model: keras.Model, gradients: Sequence[_Tensor | None]) -> list[str]:
    """Return the variables without a gradient; WorkloadError if only the last layer's have one."""
    lacking = [
        variable
        for variable, gradient in zip(model.trainable_variables, gradients, strict=True)
        if gradient is None
    ]
    last = len(model.layers[-1].trainable_variables)
    # If layers have trainable=False, the user may want only the last one to learn.
    is_frozen = any(layer.weights and not layer.trainable for layer in model.layers[:-1])
    if not is_frozen and 0 < len(lacking) == len(gradients) - last:
        raise WorkloadError(
            "no variable of the network has a gradient except its last layer's: do not cut off "
            "the loss by stop_gradient or by an operation that has no derivative"
        )
    return [variable.path for variable in lacking]


def count_correct(logits: _Tensor, labels: _Tensor) -> _Tensor:
    """Count the ``labels`` (n,) at which their row of ``logits`` (n, classes) is largest."""
    predicted = tf.argmax(logits, axis=-1, output_type=tf.int64)
    return tf.reduce_sum(tf.cast(tf.equal(predicted, labels), tf.int64))
