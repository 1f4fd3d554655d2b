"""From gradients to weights: clipping, loss scaling, the update.

Usage:
    update = GradientUpdate(variant, model, replicas)
    scaled = loss * update.loss_factor()             # on each replica, inside the tape
    prepared = update.prepare(gradients)             # on each replica, after their sum
    skipped = update.apply(gradients, finite)        # once, over all replicas

Keras clips each replica's gradient before the replicas are summed, and its loss scaling
tests each replica on its own; here both act on the sum, so that any number of replicas
takes the same step.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from bench.spec.variant import Variant
from bench.training.model.precision import PRECISIONS
from bench.training.strategy import Replicas, device_kind

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


def clip_gradients(
    gradients: Sequence[_Tensor], kind: str, threshold: float
) -> tuple[list[_Tensor], _Tensor]:
    """The gradients clipped, and whether that changed any (int64, 0 or 1).

    value: each element into [-threshold, threshold]. norm: each tensor scaled down to an L2
    norm of at most ``threshold``. global_norm: all of them by one factor, to that norm over
    all (Pascanu et al., arXiv 1211.5063).
    """
    if kind == "none":
        return list(gradients), tf.constant(0, tf.int64)
    clipped, acted = _CLIPS[kind](list(gradients), threshold)
    return clipped, tf.cast(acted, tf.int64)


def _by_value(gradients: list[_Tensor], threshold: float) -> tuple[list[_Tensor], _Tensor]:
    beyond = [tf.reduce_any(tf.abs(g) > threshold) for g in gradients]
    return [tf.clip_by_value(g, -threshold, threshold) for g in gradients], _any(beyond)


def _by_norm(gradients: list[_Tensor], threshold: float) -> tuple[list[_Tensor], _Tensor]:
    norms = [tf.norm(g) for g in gradients]
    clipped = [g * _shrink(norm, threshold) for g, norm in zip(gradients, norms, strict=True)]
    return clipped, _any([norm > threshold for norm in norms])


def _by_global_norm(gradients: list[_Tensor], threshold: float) -> tuple[list[_Tensor], _Tensor]:
    norm = tf.linalg.global_norm(gradients)
    return [g * _shrink(norm, threshold) for g in gradients], norm > threshold


def _shrink(norm: _Tensor, threshold: float) -> _Tensor:
    # An infinite norm gives 0 * inf = NaN: a broken gradient stays visible.
    return threshold / tf.maximum(norm, threshold)


def _any(flags: Sequence[_Tensor]) -> _Tensor:
    return tf.reduce_any(tf.stack(flags))


_CLIPS: dict[str, Callable[[list[_Tensor], float], tuple[list[_Tensor], _Tensor]]] = {
    "value": _by_value,
    "norm": _by_norm,
    "global_norm": _by_global_norm,
}


class LossScale:
    """Dynamic loss scaling: halved where a gradient overflows, doubled after a calm spell.

    Start and spell are those of Keras and of Micikevicius et al., arXiv 1710.03740.
    """

    START = 2.0**15
    SMALLEST = 1.0
    CALM_STEPS = 2000

    def __init__(self) -> None:
        self.scale = tf.Variable(self.START, trainable=False, dtype=tf.float32)
        self.calm = tf.Variable(0, trainable=False, dtype=tf.int64)

    @property
    def variables(self) -> list[tf.Variable]:
        """What a snapshot of the training state must hold."""
        return [self.scale, self.calm]

    def adapt(self, finite: _Tensor) -> None:
        """Move the scale after a step whose gradients were all ``finite``, or not."""
        calm = tf.where(finite, self.calm + 1, tf.zeros_like(self.calm))
        doubles = calm >= self.CALM_STEPS
        factor = tf.where(finite, tf.where(doubles, 2.0, 1.0), 0.5)
        self.scale.assign(tf.maximum(self.scale * factor, self.SMALLEST))
        self.calm.assign(tf.where(doubles, tf.zeros_like(calm), calm))


class PreparedGradients(NamedTuple):
    """What a step is about to do, the same on every replica."""

    gradients: list[_Tensor]
    clipped: _Tensor
    """int64, 1 where clipping changed a gradient."""
    finite: _Tensor
    """Whether every gradient is finite; always true where none is looked at."""


class GradientUpdate:
    """The optimiser's side of a step, with its state. Make it in the replicas' scope."""

    def __init__(self, variant: Variant, model: keras.Model, replicas: Replicas) -> None:
        self._clip = (variant.clip, variant.clip_threshold)
        self._replicas = replicas
        self._trained = model.trainable_variables
        self.optimizer = OPTIMIZERS[variant.optimizer](variant.learning_rate)
        self.optimizer.build(self._trained)
        # The gradients are summed before they are clipped: a second sum would double them.
        self.optimizer._all_reduce_sum_gradients = list
        scales = PRECISIONS[variant.precision].scales_loss
        self.loss_scale = LossScale() if scales else None
        self.skips = scales or variant.non_finite == "skip"
        """Whether steps whose gradients are not finite are found and left out."""
        # A branch is cheapest, but on a GPU the host waits in each step for what decides it, unless
        # XLA has compiled the update.
        in_xla = variant.jit != "none" and replicas.count == 1
        self._branches = in_xla or device_kind() == "CPU"

    @property
    def variables(self) -> list[Any]:
        """What a snapshot of the training state must hold."""
        return [*self.optimizer.variables, *(self.loss_scale.variables if self.loss_scale else ())]

    def settings(self) -> dict[str, Any]:
        """The optimiser's constants, whether the loss is scaled, whether steps are skipped."""
        config = self.optimizer.get_config()
        plain = {k: v for k, v in config.items() if isinstance(v, int | float | str | bool)}
        return {
            "optimizer_config": plain,
            "loss_scaling": self.loss_scale is not None,
            "skips_non_finite": self.skips,
        }

    def loss_factor(self) -> _Tensor:
        """What the loss is multiplied by before it is differentiated."""
        return tf.constant(1.0) if self.loss_scale is None else self.loss_scale.scale.read_value()

    def prepare(self, gradients: Sequence[_Tensor]) -> PreparedGradients:
        """Undo the scaling of summed ``gradients``, test them, and clip them."""
        finite = tf.constant(True)
        if self.loss_scale is not None:
            inverse = 1.0 / self.loss_scale.scale
            gradients = [g * inverse for g in gradients]
        if self.skips:
            finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(g)) for g in gradients])
        clipped, acted = clip_gradients(gradients, *self._clip)
        return PreparedGradients(clipped, tf.where(finite, acted, tf.zeros_like(acted)), finite)

    def keep(
        self,
        variables: Sequence[Any],
        before: Sequence[_Tensor],
        after: Sequence[_Tensor],
        finite: _Tensor,
    ) -> None:
        """On a replica: what changes without a gradient, unless the step is to be skipped."""
        for variable, old, new in zip(variables, before, after, strict=True):
            variable.assign(tf.where(finite, new, old) if self.skips else new)

    def counted(self, metrics: Sequence[_Tensor], finite: _Tensor) -> tuple[_Tensor, ...]:
        """A step's ``metrics``, or zeros where it was skipped as not ``finite``."""
        if not self.skips:
            return tuple(metrics)
        return tuple(tf.where(finite, metric, tf.zeros_like(metric)) for metric in metrics)

    def apply(self, gradients: Sequence[Any], finite: Any) -> _Tensor:
        """Take the step on every replica; int64, 1 where it was skipped as not ``finite``.

        ``finite`` is each replica's, and the same on all.
        """
        if not self.skips:
            return self._step(gradients)
        agreed = self._replicas.first(finite)
        if self.loss_scale is not None:
            self.loss_scale.adapt(agreed)
        if self._branches:
            return tf.cond(agreed, lambda: self._step(gradients), lambda: tf.constant(1, tf.int64))
        return self._step_or_put_back(gradients, self._replicas.parts(finite))

    def _step_or_put_back(self, gradients: Sequence[Any], finite: Sequence[_Tensor]) -> _Tensor:
        """Take the step, and put back what it changed on each replica where it is not finite."""
        changed = [
            (part, fine)
            for variable in (*self._trained, *self.optimizer.variables)
            for part, fine in zip(self._replicas.parts(variable.value), finite, strict=True)
        ]
        before = [part.read_value() for part, _ in changed]
        self._step(gradients)
        for (part, fine), old in zip(changed, before, strict=True):
            with tf.device(part.device):
                part.assign(tf.where(fine, part.read_value(), old))
        return tf.where(finite[0], tf.constant(0, tf.int64), tf.constant(1, tf.int64))

    def _step(self, gradients: Sequence[Any]) -> _Tensor:
        self._replicas.run(self._step_of_replica, gradients)
        return tf.constant(0, tf.int64)

    def _step_of_replica(self, *gradients: _Tensor) -> None:
        self.optimizer.apply(list(gradients), self._trained)
