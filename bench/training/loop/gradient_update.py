"""Turn gradients into an update of the weights: loss scaling, clipping, the optimizer.

Usage:
    update = GradientUpdate(variant, model, replicas)
    scaled = loss * update.loss_factor()             # on each replica, inside the tape
    prepared = update.prepare(gradients)             # on each replica, after their sum
    skipped = update.apply(gradients, finite)        # once, over all replicas

Keras clips each replica's gradient before it sums the replicas, and its loss scaling tests each
replica separately. Here both act on the sum, so that any number of replicas takes the same step.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from bench.spec.variant import Variant
from bench.training.loop.gradient_clipping import clip_gradients
from bench.training.loop.loss_scale import LossScale
from bench.training.model.precision import PRECISIONS
from bench.training.replicas import Replicas, device_kind

_Tensor = Any

OPTIMIZERS: dict[str, Callable[[float], Any]] = {
    "sgd": lambda rate: keras.optimizers.SGD(rate),
    "momentum": lambda rate: keras.optimizers.SGD(rate, momentum=0.9),
    "nesterov": lambda rate: keras.optimizers.SGD(rate, momentum=0.9, nesterov=True),
    "rmsprop": lambda rate: keras.optimizers.RMSprop(rate),
    "adagrad": lambda rate: keras.optimizers.Adagrad(rate),
    "adam": lambda rate: keras.optimizers.Adam(rate),
    "adamw": lambda rate: keras.optimizers.AdamW(rate),
    "nadam": lambda rate: keras.optimizers.Nadam(rate),
}


class PreparedGradients(NamedTuple):
    """The input of an update, equal on every replica."""

    gradients: list[_Tensor]
    clipped: _Tensor
    """int64, 1 if clipping changed a gradient."""
    finite: _Tensor
    """Whether every gradient is finite; always true if gradients are not tested."""


class GradientUpdate:
    """The optimizer of a step, with its state. Create it in the replicas' scope."""

    def __init__(self, variant: Variant, model: keras.Model, replicas: Replicas) -> None:
        self._clip = (variant.clip, variant.clip_threshold)
        self._replicas = replicas
        self._weights = model.trainable_variables
        self.optimizer = OPTIMIZERS[variant.optimizer](variant.learning_rate)
        self.optimizer.build(self._weights)
        # The gradients are already summed, before they are clipped: Keras must not sum again.
        self.optimizer._all_reduce_sum_gradients = list
        scales = PRECISIONS[variant.precision].scales_loss
        self.loss_scale = LossScale() if scales else None
        self.skips = scales or variant.non_finite == "skip"
        """Whether steps whose gradients are not finite are skipped."""
        # A branch is cheapest. But on a GPU the host waits for its condition in each step, unless
        # XLA has compiled the update.
        in_xla = variant.jit != "none" and replicas.count == 1
        self._branches = in_xla or device_kind() == "CPU"

    @property
    def variables(self) -> list[Any]:
        """The variables that belong to the training state."""
        return [*self.optimizer.variables, *(self.loss_scale.variables if self.loss_scale else ())]

    def settings(self) -> dict[str, Any]:
        """Return the optimizer's constants, and whether to scale the loss and to skip steps."""
        config = self.optimizer.get_config()
        plain = {k: v for k, v in config.items() if isinstance(v, int | float | str | bool)}
        return {
            "optimizer_config": plain,
            "loss_scaling": self.loss_scale is not None,
            "skips_non_finite": self.skips,
        }

    def loss_factor(self) -> _Tensor:
        """Return the factor of the loss before it is differentiated."""
        return tf.constant(1.0) if self.loss_scale is None else self.loss_scale.scale.read_value()

    def prepare(self, gradients: Sequence[_Tensor]) -> PreparedGradients:
        """Undo the scaling of summed ``gradients``, test them, and clip them."""
        finite = tf.constant(True)
        if self.loss_scale is not None:
            inverse = 1.0 / self.loss_scale.scale
            gradients = [g * inverse for g in gradients]
        if self.skips:
            finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(g)) for g in gradients])
        clipped, changed = clip_gradients(gradients, *self._clip)
        return PreparedGradients(clipped, tf.where(finite, changed, tf.zeros_like(changed)), finite)

    def assign_state(
        self,
        variables: Sequence[Any],
        before: Sequence[_Tensor],
        after: Sequence[_Tensor],
        finite: _Tensor,
    ) -> None:
        """On a replica: assign ``variables`` without a gradient their value after the step.

        If the step is skipped as not ``finite``, they keep the value from before.
        """
        for variable, old, new in zip(variables, before, after, strict=True):
            variable.assign(tf.where(finite, new, old) if self.skips else new)

    def mask_skipped(self, metrics: Sequence[_Tensor], finite: _Tensor) -> tuple[_Tensor, ...]:
        """Return a step's ``metrics``, or zeros if it was skipped as not ``finite``."""
        if not self.skips:
            return tuple(metrics)
        return tuple(tf.where(finite, metric, tf.zeros_like(metric)) for metric in metrics)

    def apply(self, gradients: Sequence[Any], finite: Any) -> _Tensor:
        """Apply the step on every replica; return 1 (int64) if it was skipped as not ``finite``.

        ``finite`` has a value for each replica, equal on all.
        """
        if not self.skips:
            return self._step(gradients)
        is_finite = self._replicas.first(finite)
        if self.loss_scale is not None:
            self.loss_scale.adapt(is_finite)
        if self._branches:
            return tf.cond(
                is_finite, lambda: self._step(gradients), lambda: tf.constant(1, tf.int64)
            )
        return self._step_or_restore(gradients, self._replicas.local_values(finite))

    def _step_or_restore(self, gradients: Sequence[Any], finite: Sequence[_Tensor]) -> _Tensor:
        """Apply the step, then restore what it changed on each replica if it is not finite."""
        changed = [
            (local, is_finite)
            for variable in (*self._weights, *self.optimizer.variables)
            for local, is_finite in zip(
                self._replicas.local_values(variable.value), finite, strict=True
            )
        ]
        before = [local.read_value() for local, _ in changed]
        self._step(gradients)
        for (local, is_finite), old in zip(changed, before, strict=True):
            with tf.device(local.device):
                local.assign(tf.where(is_finite, local.read_value(), old))
        return tf.where(finite[0], tf.constant(0, tf.int64), tf.constant(1, tf.int64))

    def _step(self, gradients: Sequence[Any]) -> _Tensor:
        self._replicas.run(self._step_on_replica, gradients)
        return tf.constant(0, tf.int64)

    def _step_on_replica(self, *gradients: _Tensor) -> None:
        self.optimizer.apply(list(gradients), self._weights)
