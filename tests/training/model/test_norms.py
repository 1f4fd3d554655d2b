"""Each norm averages enough values to learn from, and no shipped network ignores its input."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest

from bench.spec.plan import make_plan
from bench.spec.suite import load_suite, shipped_suites
from bench.spec.variant import Variant
from bench.training.exceptions import WorkloadError
from bench.training.layer_health.layer_info import list_layers
from bench.training.model import resnet
from bench.training.model.layers import Layers
from bench.training.model.models import build_model
from bench.training.model.norm_sizes import norm_sizes
from bench.training.model.precision import PRECISIONS
from tests.support.training_setup import make_program, small

NORMS = (keras.layers.LayerNormalization, keras.layers.GroupNormalization)


def outputs(norm: str, **axes: Any) -> list[np.ndarray]:
    """Return the outputs of a network's norms for some images, in float64."""
    model = build_model(small(norm=norm, precision="float64", **axes), (4, 4, 1), 5, seed=1)
    norm_outputs = [layer.output for layer in model.layers if isinstance(layer, NORMS)]
    images = np.random.default_rng(3).uniform(0, 1, (6, 4, 4, 1))
    return [out.numpy() for out in keras.Model(model.inputs[0], norm_outputs)(images)]


@pytest.mark.parametrize("workload", ["mlp", "convnet"])
def test_layer_norm_leaves_each_example_with_mean_0_and_deviation_1(workload: str) -> None:
    # Without the norm on the input, whose deviation is small compared with epsilon.
    actual = outputs("layer", workload=workload, activation="linear", filters=[40])[1:]
    assert [out.ndim for out in actual] == ([2, 2] if workload == "mlp" else [4, 2, 2])
    for out in actual:
        examples = out.reshape(6, -1)
        np.testing.assert_allclose(examples.mean(axis=1), 0, atol=1e-12)
        np.testing.assert_allclose(examples.std(axis=1), 1, atol=0.01)


def test_group_norm_leaves_each_group_with_mean_0_and_deviation_1() -> None:
    conv, dense = outputs("group", workload="convnet", activation="linear", hidden=[64])[1::2]
    assert conv.shape == (6, 4, 4, 3)  # three groups of one channel with its 16 positions
    np.testing.assert_allclose(conv.mean(axis=(1, 2)), 0, atol=1e-12)
    np.testing.assert_allclose(conv.std(axis=(1, 2)), 1, atol=0.05)
    groups = dense.reshape(6, 8, 8)
    np.testing.assert_allclose(groups.mean(axis=2), 0, atol=1e-12)
    assert np.median(groups.std(axis=2)) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("width", [8, 16, 64])
def test_group_norm_learns(width: int) -> None:
    axes = {"hidden": [width] * 3, "examples": 1280, "epochs": 3, "warmup_epochs": 0}
    program = make_program(small(norm="group", **axes)).program
    program.cold_start()
    # With groups of two values, which only tell which is larger, it would be 0.3 to 0.5.
    last = [program.run_epoch(epoch).accuracy for epoch in range(3)][-1]
    assert last is not None
    assert last > 0.85


@pytest.mark.parametrize("norm", ["layer", "group"])
@pytest.mark.parametrize("workload", ["mlp", "convnet"])
def test_a_one_channel_image_keeps_its_spread(norm: str, workload: str) -> None:
    for out in outputs(norm, workload=workload):
        assert out.std(axis=0).max() > 0.1


@pytest.mark.parametrize(
    ("axes", "values", "groups"),
    [
        ({"norm": "none"}, None, None),
        ({"norm": "layer"}, [16, 16, 8], [1, 1, 1]),
        ({"norm": "group"}, [8, 8, 8], [2, 2, 1]),
        ({"norm": "layer", "workload": "convnet"}, [16, 48, 20, 16, 8], [1] * 5),
        ({"norm": "group", "workload": "convnet"}, [16, 16, 20, 8, 8], [1, 3, 1, 2, 1]),
        ({"norm": "bn_pre"}, [32, 32, 32], None),
        ({"norm": "bn_pre", "batch_norm": "fused"}, [32, 32, 32], None),
        ({"norm": "bn_post", "workload": "convnet"}, [512, 512, 128, 32, 32], None),
    ],
    ids=str,
)
def test_the_number_of_values_in_each_mean_is_reported(
    axes: dict[str, Any], values: list[int] | None, groups: list[int] | None
) -> None:
    variant = small(**axes)
    sizes = norm_sizes(variant, build_model(variant, (4, 4, 1), 5, seed=1))
    assert (sizes.get("norm_values"), sizes.get("norm_groups")) == (values, groups)


@pytest.mark.parametrize(("synchronized", "values"), [(True, 32), (False, 8)])
def test_unsynchronized_batch_norm_averages_its_replica_s_part(
    synchronized: bool, values: int
) -> None:
    variant = small(norm="bn_post", synchronized=synchronized, strategy="mirrored", replicas=4)
    variant = variant.model_copy(update={"global_batch_size": 32})
    sizes = norm_sizes(variant, build_model(variant, (4, 4, 1), 5, seed=1))
    assert sizes["norm_values"] == [values] * 3


@pytest.mark.parametrize(
    ("norm", "shape"), [("layer", (1,)), ("layer", (2,)), ("group", (2,)), ("group", (1, 2, 1))]
)
def test_a_norm_of_too_few_values_is_rejected_in_a_user_network(
    norm: str, shape: tuple[int, ...]
) -> None:
    with pytest.raises(WorkloadError, match=f"norm '{norm}' leaves nothing to learn from"):
        Layers(small(norm=norm), seed=1).normed(keras.Input(shape))


def test_layer_norm_of_a_sequence_is_over_the_features_of_each_position() -> None:
    apply_norm = Layers(small(norm="layer", precision="float64"), 1).normed
    sequence = keras.Input((None, 8), dtype="float64")
    out = keras.Model(sequence, apply_norm(sequence))(
        np.random.default_rng(1).normal(size=(2, 5, 8))
    )
    np.testing.assert_allclose(out.numpy().mean(axis=-1), 0, atol=1e-12)


def test_layer_norm_of_images_is_listed_as_layer_norm() -> None:
    model = build_model(small(norm="layer", workload="convnet"), (4, 4, 1), 5, seed=1)
    kinds = [part.kind for part in list_layers(model)]
    assert (kinds.count("layer_norm"), kinds.count("group_norm")) == (5, 0)


CONTROLS = {
    "initializer=zeros",
    "E1 zeros",
    # Nothing of the image remains after 20 layers, which is what the suite shows.
    "E8 20 layers, sigmoid, Glorot",
    "E8 100 layers, sigmoid, Glorot",
    # Overflows in three wide layers: it diverges.
    "E2 exponential",
}
"""Labels of the shipped arms that cannot learn by design."""

_OF_NETWORK = ("workload", "widths", "filters", "initializer", "activation", "norm", "inputs")


def networks() -> Iterator[tuple[str, Variant]]:
    """Yield the different networks of all shipped suites, limited to 20 layers of 64."""
    seen = set()
    for suite in shipped_suites():
        for cell in make_plan(load_suite(suite)).cells:
            limits = {
                "hidden": tuple(min(w, 64) for w in cell.variant.hidden),
                "batch_norm": "keras",
            }
            variant = cell.variant.model_copy(
                update={**limits, "depth": min(cell.variant.depth, 20), "precision": "float32"}
            )
            network = tuple(getattr(variant, key) for key in _OF_NETWORK)
            if network not in seen:
                seen.add(network)
                yield f"{suite}: {cell.label}", variant


@pytest.mark.slow
def test_the_output_of_every_shipped_arm_depends_on_the_image(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # One block a stage has a norm in every kind of place.
    monkeypatch.setattr(resnet, "STAGES", [(channels // 4, 1) for channels, _ in resnet.STAGES])
    rng, ignoring = np.random.default_rng(0), set()
    for name, variant in networks():
        rows, columns, channels = variant.example_shape
        shape = (min(rows, 32), min(columns, 32), channels)
        images = rng.integers(0, 256, (8, *shape)).astype(np.uint8)
        model = build_model(variant, shape, 10, 1, images)
        pixels = (images / 255).astype(PRECISIONS[variant.precision].dtype)
        logits = np.asarray(model(pixels, training=True), np.float64)
        if not logits.std(axis=0).max() > 1e-5 * np.abs(logits).max():
            ignoring.add(name.partition(": ")[2])
        assert min(norm_sizes(variant, model).get("norm_values", [8])) >= 8, name
    assert ignoring <= CONTROLS
    assert "initializer=zeros" in ignoring
