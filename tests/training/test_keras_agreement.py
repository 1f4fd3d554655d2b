"""Our loop agrees with Keras ``fit`` in short runs from equal weights, on the same real data.

With the examples in the same order, both end at the same weights. With different orders, they end
at the same accuracy and loss by this rule: over four seeds, the 99 % t-interval of the paired
differences contains 0, and is narrow enough to detect a learning rate that is wrong by a fifth,
as the last test shows.
"""

import functools
import math
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import pytest
from scipy import stats

from bench.datasets.arrays import Arrays
from bench.datasets.load import load_arrays
from bench.spec.variant import Variant
from bench.training.data.pipeline import Feed, make_feed
from bench.training.data.shuffle import Shuffle
from bench.training.device_strategy import make_replicas
from bench.training.evaluation import Evaluator, Score
from bench.training.loop.compiled_epoch import CompiledEpoch
from bench.training.loop.gradient_update import GradientUpdate
from bench.training.model.models import build_model
from bench.training.model.precision import PRECISIONS
from tests.support.training_setup import variant_of

pytestmark = pytest.mark.slow

SEEDS = (1, 2, 3, 4)
LEARNING_RATE = 0.001
EXAMPLES = 6_144
WIDEST = {"accuracy": 0.06, "loss": 0.03}
"""The widest intervals at which agreement still means something."""


@pytest.fixture(scope="module")
def arrays(fashion_mnist_dir: Path) -> Arrays:
    """The first real training images, and all validation images."""
    arrays = load_arrays(variant_of(), fashion_mnist_dir)
    first = {
        "train_images": arrays.train_images[:EXAMPLES],
        "train_labels": arrays.train_labels[:EXAMPLES],
    }
    return Arrays(**{**vars(arrays), **first})


@pytest.mark.parametrize("norm", ["none", "bn_post", "bn_pre"])
def test_in_the_same_order_fit_ends_at_the_same_weights(norm: str, arrays: Arrays) -> None:
    # In float64, since batch norm amplifies rounding if a unit hardly varies.
    variant = _variant(norm).model_copy(update={"precision": "float64"})
    program, ours, _ = _program(variant, arrays, seed=1)
    losses = [program.run_epoch(epoch).loss for epoch in range(variant.epochs)]
    theirs, their_losses = _compiled(variant, arrays, seed=1), []
    in_order = Shuffle(EXAMPLES, seed=1)
    for epoch in range(variant.epochs):
        order = in_order.window(in_order.epoch_order(epoch), 0, EXAMPLES).numpy()
        images, labels = _pixels(arrays)[order], arrays.train_labels[order]
        history = theirs.fit(images, labels, batch_size=32, shuffle=False, verbose=0)
        their_losses += history.history["loss"]
    np.testing.assert_allclose(losses, their_losses, rtol=1e-6)
    for mine, other in zip(ours.variables, theirs.variables, strict=True):
        np.testing.assert_allclose(mine.numpy(), other.numpy(), atol=1e-9)


@pytest.mark.parametrize("norm", ["none", "bn_post"])
def test_our_loop_ends_where_fit_ends(norm: str, arrays: Arrays) -> None:
    ours, theirs = _ours(_variant(norm), arrays), _fit(_variant(norm), arrays)
    assert min(score.accuracy or 0.0 for score in ours) > 0.4
    for name, widest in WIDEST.items():
        low, high = _interval(ours, theirs, name)
        assert low <= 0 <= high
        assert high - low < widest


def test_the_rule_detects_a_learning_rate_that_is_wrong_by_a_fifth(arrays: Arrays) -> None:
    right = _variant("none")
    wrong = right.model_copy(update={"learning_rate": 0.8 * LEARNING_RATE})
    low, _ = _interval(_ours(wrong, arrays), _ours(right, arrays), "loss")
    assert low > 0


def _interval(ours: Sequence[Score], theirs: Sequence[Score], name: str) -> tuple[float, float]:
    """Return the 99 % interval of the mean paired difference."""
    pairs = zip(ours, theirs, strict=True)
    differences = np.array([getattr(a, name) - getattr(b, name) for a, b in pairs])
    error = differences.std(ddof=1) / math.sqrt(len(SEEDS))
    half_width = float(stats.t.ppf(0.995, len(SEEDS) - 1) * error)
    mean = float(differences.mean())
    return mean - half_width, mean + half_width


def _variant(norm: str) -> Variant:
    return variant_of(norm=norm, examples=EXAMPLES, learning_rate=LEARNING_RATE, epochs=2)


@functools.cache
def _ours(variant: Variant, arrays: Arrays) -> list[Score]:
    """Return our loop's score for each seed, which sets the initial weights and the order."""
    program, model, _ = _program(variant, arrays, seed=0)
    evaluator, scores = Evaluator(variant, model), []
    for seed in SEEDS:
        _reset_weights(model, variant, arrays, seed)
        for epoch in range(variant.epochs):
            program.run_epoch(seed * variant.epochs + epoch)
        scores.append(evaluator.score(arrays.val_images, arrays.val_labels))
    return scores


def _fit(variant: Variant, arrays: Arrays) -> list[Score]:
    """Return the scores of ``fit`` from the same initial weights."""
    model = _compiled(variant, arrays, seed=0)
    evaluator, scores = Evaluator(variant, model), []
    for seed in SEEDS:
        _reset_weights(model, variant, arrays, seed)
        for epoch in range(variant.epochs):
            # If seeded only once, Keras would use the same order in each epoch.
            keras.utils.set_random_seed(100 * seed + epoch)
            model.fit(_pixels(arrays), arrays.train_labels, batch_size=32, verbose=0)
        scores.append(evaluator.score(arrays.val_images, arrays.val_labels))
    return scores


def _reset_weights(model: keras.Model, variant: Variant, arrays: Arrays, seed: int) -> None:
    fresh = build_model(variant, arrays.shape, arrays.classes, seed)
    for variable, value in zip(model.variables, fresh.variables, strict=True):
        variable.assign(value)


def _program(
    variant: Variant, arrays: Arrays, seed: int
) -> tuple[CompiledEpoch, keras.Model, Feed]:
    replicas = make_replicas(variant)
    feed = make_feed(variant, arrays, seed, replicas)
    model = build_model(variant, arrays.shape, arrays.classes, seed)
    update = GradientUpdate(variant, model, replicas)
    return CompiledEpoch(variant, model, update, feed, replicas), model, feed


def _compiled(variant: Variant, arrays: Arrays, seed: int) -> keras.Model:
    model = build_model(variant, arrays.shape, arrays.classes, seed)
    kind = PRECISIONS[variant.precision]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, dtype=kind.dtype)
    model.compile(keras.optimizers.SGD(variant.learning_rate), loss, metrics=["accuracy"])
    return model


def _pixels(arrays: Arrays) -> np.ndarray:
    return arrays.train_images / 255.0
