"""What layers add to the loss, and variables without gradient, as Keras's own ``fit`` has them."""

from typing import Any

import keras
import numpy as np
import pytest

from bench.spec.variant import Variant
from bench.training.evaluation import Evaluator
from bench.training.failures import WorkloadError
from bench.training.layer_health.layer_health import LayerHealth
from bench.training.loop.gradient_update import OPTIMIZERS
from bench.training.model.models import build_model
from tests.support.training_setup import (
    Made,
    arrays_of,
    make_program,
    small,
    snapshot,
    train_fresh,
)

USUAL: dict[str, Any] = {"hidden": [300, 100], "filters": [32, 64]}


def own(function: str, **asked: Any) -> Variant:
    asked = {"precision": "float64", "examples": 96, "warmup_epochs": 0, "epochs": 1, **asked}
    return small(workload=f"tests.support.penalised_workload:{function}", **USUAL, **asked)


def fitted(variant: Variant, made: Made) -> tuple[keras.Model, float]:
    """Keras's model after an epoch of the same batches from the same weights, and its loss."""
    arrays = arrays_of(variant)
    model = build_model(variant, arrays.shape, arrays.classes, seed=1)
    for mine, first in zip(model.variables, made.model.variables, strict=True):
        mine.assign(first)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(OPTIMIZERS[variant.optimizer](variant.learning_rate), loss)
    order: Any = made.feed.order
    rows = order.window(order.epoch_order(0), 0, variant.examples).numpy()
    images, labels = arrays.train_images[rows] / 255.0, arrays.train_labels[rows]
    size = variant.global_batch_size
    history = model.fit(images, labels, batch_size=size, shuffle=False, verbose=0).history
    return model, history["loss"][0]


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
@pytest.mark.parametrize("jit", ["none", "step", "epoch"])
def test_an_epoch_ends_with_the_loss_and_the_weights_of_fit(jit: str) -> None:
    variant = own("net", jit=jit, optimizer="momentum", precision="float32")
    made = make_program(variant)
    theirs, their_loss = fitted(variant, made)
    made.program.cold_start()
    assert made.program.run_epoch(0).loss == pytest.approx(their_loss, rel=1e-6)
    for mine, other in zip(made.model.variables, theirs.variables, strict=True):
        np.testing.assert_allclose(mine.numpy(), other.numpy(), atol=1e-6, err_msg=mine.path)


def test_the_validation_loss_is_that_of_evaluate() -> None:
    variant = own("net", precision="float32")
    made = make_program(variant)
    arrays = arrays_of(variant)
    made.model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    images, labels = arrays.val_images, arrays.val_labels
    theirs = made.model.evaluate(images / 255.0, labels, batch_size=1000, verbose=0)
    mine = Evaluator(variant, made.model).score(images, labels)
    assert mine.loss == pytest.approx(theirs, rel=1e-6)


def test_a_penalty_alone_moves_weights_also_where_the_loss_is_scaled() -> None:
    variant = own("weights_alone", precision="mixed_float16", learning_rate=1e-3)
    made, plain = make_program(variant), own("weights_alone", learning_rate=1e-3)
    wide = make_program(plain)
    for mine, first in zip(wide.model.variables, made.model.variables, strict=True):
        mine.assign(first)
    losses = [m.program.run_epoch(0).loss for m in (made, wide)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    for mine, other in zip(made.model.variables, wide.model.variables, strict=True):
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
    made = make_program(own("net", optimizer="adamw", learning_rate=0.01, **CLIPS[name]))
    made.program.run_epoch(0)
    [idle] = [v for v in made.model.trainable_variables if v.name == "idle"]
    # Three steps of AdamW's decay by 0.004 of the learning rate, and nothing else.
    np.testing.assert_allclose(idle.numpy(), (1 - 0.01 * 0.004) ** 3, rtol=1e-6)


def test_rows_that_are_looked_up_have_their_gradient() -> None:
    variant = own("looked_up", optimizer="adam", clip="global_norm")
    made = make_program(variant)
    before = snapshot(made.model.trainable_variables)
    made.program.run_epoch(0)
    moved = [np.any(a != b) for a, b in zip(before, snapshot(made.model.variables), strict=True)]
    assert all(moved)


@pytest.mark.parametrize("function", ["net", "looked_up"])
def test_a_look_at_layers_takes_penalties_and_what_has_no_gradient(function: str) -> None:
    variant = own(function, examples=64)
    made, arrays = make_program(variant), arrays_of(variant)
    health = LayerHealth(variant, made.model, made.update, made.replicas, arrays)
    looked = health.examine(after_epochs=0)
    kinds = dict(zip(looked.kind, looked.gradient_norm, strict=True))
    if function == "net":
        assert kinds["idle"] == 0.0
        assert kinds["dense"] is not None
        return
    assert kinds["embedding"]


@pytest.mark.slow
def test_what_has_no_gradient_is_named_and_a_network_of_nothing_else_fails() -> None:
    record = train_fresh(own("net", examples=64))
    assert record.status == "completed"
    [warning] = record.warnings
    assert "idle" in warning
    with pytest.raises(WorkloadError, match="no variable of the network has a gradient"):
        make_program(own("cut_off")).program.run_epoch(0)


def test_a_frozen_network_with_a_weight_that_nothing_needs_trains_its_last_layer() -> None:
    made = make_program(own("frozen"))
    assert np.isfinite(made.program.run_epoch(0).loss)


def test_a_look_has_the_gradient_of_a_penalty() -> None:
    variant = own("weights_alone", examples=64, learning_rate=1e-9)
    made, arrays = make_program(variant), arrays_of(variant)
    kernel = made.model.trainable_variables[0]
    kernel.assign(kernel * 1e6)  # so that its penalty outweighs all else
    looked = LayerHealth(variant, made.model, made.update, made.replicas, arrays).examine(0)
    [norm, _] = [norm for norm in looked.gradient_norm if norm]
    # Of 0.01 times the sum of squares.
    assert norm == pytest.approx(0.02 * float(np.linalg.norm(kernel.numpy())), rel=1e-4)
