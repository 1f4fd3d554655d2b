"""Penalties of layers, and variables without a gradient, are treated as by Keras ``fit``."""

from typing import Any

import keras
import numpy as np
import pytest

from bench.spec.variant import Variant
from bench.training.evaluation import Evaluator
from bench.training.exceptions import WorkloadError
from bench.training.layer_health.layer_health import LayerHealth
from bench.training.loop.gradient_update import OPTIMIZERS
from bench.training.model.models import build_model
from tests.support.training_setup import (
    TrainingSetup,
    arrays_of,
    make_program,
    small,
    snapshot,
    train_fresh,
)

DEFAULTS: dict[str, Any] = {"hidden": [300, 100], "filters": [32, 64]}


def penalised(function: str, **axes: Any) -> Variant:
    axes = {"precision": "float64", "examples": 96, "warmup_epochs": 0, "epochs": 1, **axes}
    return small(workload=f"tests.support.penalised_workload:{function}", **DEFAULTS, **axes)


def fitted(variant: Variant, setup: TrainingSetup) -> tuple[keras.Model, float]:
    """Train Keras's model on the same batches from the same weights, and return it and its loss."""
    arrays = arrays_of(variant)
    model = build_model(variant, arrays.shape, arrays.classes, seed=1)
    for mine, first in zip(model.variables, setup.model.variables, strict=True):
        mine.assign(first)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(OPTIMIZERS[variant.optimizer](variant.learning_rate), loss)
    order: Any = setup.feed.order
    rows = order.window(order.epoch_order(0), 0, variant.examples).numpy()
    images, labels = arrays.train_images[rows] / 255.0, arrays.train_labels[rows]
    size = variant.global_batch_size
    history = model.fit(images, labels, batch_size=size, shuffle=False, verbose=0).history
    return model, history["loss"][0]


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
@pytest.mark.parametrize("jit", ["none", "step", "epoch"])
def test_an_epoch_ends_with_the_loss_and_weights_of_fit(jit: str) -> None:
    variant = penalised("net", jit=jit, optimizer="momentum", precision="float32")
    setup = make_program(variant)
    theirs, their_loss = fitted(variant, setup)
    setup.program.cold_start()
    assert setup.program.run_epoch(0).loss == pytest.approx(their_loss, rel=1e-6)
    for mine, other in zip(setup.model.variables, theirs.variables, strict=True):
        np.testing.assert_allclose(mine.numpy(), other.numpy(), atol=1e-6, err_msg=mine.path)


def test_the_validation_loss_equals_that_of_evaluate() -> None:
    variant = penalised("net", precision="float32")
    setup = make_program(variant)
    arrays = arrays_of(variant)
    setup.model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    images, labels = arrays.val_images, arrays.val_labels
    theirs = setup.model.evaluate(images / 255.0, labels, batch_size=1000, verbose=0)
    mine = Evaluator(variant, setup.model).score(images, labels)
    assert mine.loss == pytest.approx(theirs, rel=1e-6)


def test_a_penalty_changes_weights_equally_with_a_scaled_loss() -> None:
    variant = penalised("weights_only", precision="mixed_float16", learning_rate=1e-3)
    setup, plain = make_program(variant), penalised("weights_only", learning_rate=1e-3)
    wide = make_program(plain)
    for mine, first in zip(wide.model.variables, setup.model.variables, strict=True):
        mine.assign(first)
    losses = [s.program.run_epoch(0).loss for s in (setup, wide)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    for mine, other in zip(setup.model.variables, wide.model.variables, strict=True):
        np.testing.assert_allclose(mine.numpy(), other.numpy(), atol=1e-4)


CLIPS: dict[str, dict[str, Any]] = {
    "none": {},
    "value": {"clip": "value"},
    "norm": {"clip": "norm"},
    "global_norm": {"clip": "global_norm"},
    "skip": {"non_finite": "skip"},
    "mixed_float16": {"precision": "mixed_float16"},
}


@pytest.mark.parametrize("name", CLIPS)
def test_a_variable_without_gradient_counts_as_one_of_zero(name: str) -> None:
    setup = make_program(penalised("net", optimizer="adamw", learning_rate=0.01, **CLIPS[name]))
    setup.program.run_epoch(0)
    [idle] = [v for v in setup.model.trainable_variables if v.name == "idle"]
    # AdamW's weight decay by 0.004 of the learning rate, in three steps, and nothing else.
    np.testing.assert_allclose(idle.numpy(), (1 - 0.01 * 0.004) ** 3, rtol=1e-6)


def test_an_embedding_has_its_gradient() -> None:
    variant = penalised("embedded", optimizer="adam", clip="global_norm")
    setup = make_program(variant)
    before = snapshot(setup.model.trainable_variables)
    setup.program.run_epoch(0)
    after = snapshot(setup.model.variables)
    assert all(np.any(a != b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("function", ["net", "embedded"])
def test_layer_health_handles_penalties_and_weights_without_a_gradient(function: str) -> None:
    variant = penalised(function, examples=64)
    setup, arrays = make_program(variant), arrays_of(variant)
    health = LayerHealth(variant, setup.model, setup.update, setup.replicas, arrays)
    record = health.examine(after_epochs=0)
    kinds = dict(zip(record.kind, record.gradient_norm, strict=True))
    if function == "net":
        assert kinds["idle"] == 0.0
        assert kinds["dense"] is not None
        return
    assert kinds["embedding"]


@pytest.mark.slow
def test_a_weight_without_a_gradient_is_named_and_a_network_without_any_fails() -> None:
    record = train_fresh(penalised("net", examples=64))
    assert record.status == "completed"
    [warning] = record.warnings
    assert "idle" in warning
    with pytest.raises(WorkloadError, match="no variable of the network has a gradient"):
        make_program(penalised("cut_off")).program.run_epoch(0)


def test_a_frozen_network_trains_its_last_layer() -> None:
    setup = make_program(penalised("frozen"))
    assert np.isfinite(setup.program.run_epoch(0).loss)


def test_layer_health_includes_the_gradient_of_a_penalty() -> None:
    variant = penalised("weights_only", examples=64, learning_rate=1e-9)
    setup, arrays = make_program(variant), arrays_of(variant)
    kernel = setup.model.trainable_variables[0]
    kernel.assign(kernel * 1e6)  # so that its penalty dominates the loss
    record = LayerHealth(variant, setup.model, setup.update, setup.replicas, arrays).examine(0)
    [norm, _] = [norm for norm in record.gradient_norm if norm]
    # The gradient of 0.01 times the sum of squares.
    assert norm == pytest.approx(0.02 * float(np.linalg.norm(kernel.numpy())), rel=1e-4)
