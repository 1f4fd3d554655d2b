"""Train the same epoch in JAX: with or without batch norm, SGD, one ``lax.scan``.

Usage:
    run_epoch = make_jax_epoch(variant, images, labels)
    loss = run_epoch(3)

It does the work of ``CompiledEpoch`` in an epoch of one window: it gathers each batch from bytes
on the device in a shuffled order, and sums loss and correct answers.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bench.spec.variant import Variant

_MOMENTUM, _EPSILON = 0.99, 1e-3
"""Keras's constants of batch norm."""


def make_jax_epoch(
    variant: Variant, images: np.ndarray, labels: np.ndarray
) -> Callable[[int], float]:
    """Return a function that trains an mlp for one epoch, waits, and returns its mean loss."""
    data = jnp.asarray(images.reshape(len(images), -1)), jnp.asarray(labels)
    widths = [math.prod(images.shape[1:]), *variant.hidden, 10]
    batch_norm = variant.norm == "bn_post"
    state = _initial_weights(widths, batch_norm), _initial_averages(widths, batch_norm)
    steps = len(images) // variant.global_batch_size

    def step(state: Any, indices: Any) -> tuple[Any, Any]:
        weights, averages = state
        batch = data[0][indices].astype(jnp.float32) / 255.0, data[1][indices]
        results, gradients = jax.value_and_grad(_loss, has_aux=True)(weights, averages, *batch)
        weights = jax.tree.map(lambda w, g: w - variant.learning_rate * g, weights, gradients)
        loss, (averages, correct) = results
        return (weights, averages), (loss, correct)

    @jax.jit
    def epoch(state: Any, key: Any) -> tuple[Any, Any]:
        order = jax.random.permutation(key, len(images))[: steps * variant.global_batch_size]
        state, sums = jax.lax.scan(step, state, order.reshape(steps, -1))
        return state, [s.sum() for s in sums]

    def run_epoch(number: int) -> float:
        nonlocal state
        state, (loss, _) = epoch(state, jax.random.key(number))
        for array in jax.tree.leaves(state):
            array.block_until_ready()
        return float(loss) / steps

    return run_epoch


def _initial_weights(widths: list[int], batch_norm: bool) -> list[dict[str, Any]]:
    keys = jax.random.split(jax.random.key(1), len(widths))
    layers = []
    for key, rows, columns in zip(keys, widths, widths[1:], strict=False):
        kernel = jax.random.normal(key, (rows, columns)) * math.sqrt(2 / rows)
        layer = {"kernel": kernel, "bias": jnp.zeros(columns)}
        if batch_norm:
            layer |= {"scale": jnp.ones(rows), "offset": jnp.zeros(rows)}
        layers.append(layer)
    return layers


def _initial_averages(widths: list[int], batch_norm: bool) -> list[Any]:
    return [(jnp.zeros(width), jnp.ones(width)) for width in widths[:-1]] if batch_norm else []


def _loss(
    weights: list[dict[str, Any]], averages: list[Any], images: Any, labels: Any
) -> tuple[Any, Any]:
    """Return the mean loss, and batch norm's new averages (of the input and each activation)."""
    hidden, new_averages = images, []
    for number, layer in enumerate(weights):
        if averages:
            mean, variance = hidden.mean(0), hidden.var(0)
            old_mean, old_variance = averages[number]
            new_averages.append(
                (
                    old_mean * _MOMENTUM + mean * (1 - _MOMENTUM),
                    old_variance * _MOMENTUM + variance * (1 - _MOMENTUM),
                )
            )
            inverse = jax.lax.rsqrt(variance + _EPSILON) * layer["scale"]
            hidden = (hidden - mean) * inverse + layer["offset"]
        hidden = hidden @ layer["kernel"] + layer["bias"]
        if number < len(weights) - 1:
            hidden = jax.nn.relu(hidden)
    log_probabilities = jax.nn.log_softmax(hidden)
    loss = -jnp.take_along_axis(log_probabilities, labels[:, None], axis=1).mean()
    return loss, (new_averages, (hidden.argmax(1) == labels).sum())
