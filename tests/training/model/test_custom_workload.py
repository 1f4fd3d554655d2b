"""A custom workload is built by the suite's axes, and rejected if it breaks its contract."""

import importlib
import random
import socket
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from bench.training import runtime
from bench.training.exceptions import WorkloadError
from bench.training.model.custom_model import workload_source
from bench.training.model.models import build_model, norm_settings
from bench.training.trial import train
from tests.support.paths import ROOT
from tests.support.training_setup import arrays_of, small, train_fresh, trial_of

OUTSIDE = ROOT / "tests/outside"

FLAWED = """
import keras

def same(layers, images):
    return images

def sparse(layers, images):
    return layers.hidden(layers.dense(3), layers.flatten()(images))

def plain(layers, images):
    x = layers.flatten()(images)
    for width in layers.variant.hidden:
        x = keras.layers.Dense(width, keras.activations.get(layers.variant.activation))(x)
    return keras.layers.Dropout(0.5, seed=layers.next_seed())(x)

def normed(layers, images):
    x = layers.dense(3)(layers.flatten()(images))
    return keras.layers.BatchNormalization()(x) if layers.variant.norm == "bn_post" else x
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Provide modules from outside the package: the guide's, and some that break the contract."""
    monkeypatch.delitem(sys.modules, "flawed", raising=False)  # from another test
    (tmp_path / "flawed.py").write_text(FLAWED)
    monkeypatch.syspath_prepend(str(OUTSIDE))
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def build(**axes: Any) -> keras.Model:
    return build_model(small(**axes), (4, 4, 1), 5, seed=1)


@pytest.mark.parametrize(("norm", "norms"), [("none", 0), ("bn_pre", 4), ("layer", 4)])
def test_it_is_built_by_the_variant_s_axes(norm: str, norms: int) -> None:
    variant = small(workload="own_nets:towers", norm=norm, activation="elu", filters=[32, 64])
    model = build_model(variant, (4, 4, 1), 5, seed=1)
    assert norm_settings(model)["norm_layers"] == norms
    dense = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    assert sorted(layer.units for layer in dense) == [5, 8, 8, 16, 16]
    activations = [layer for layer in model.layers if isinstance(layer, keras.layers.Activation)]
    assert {layer.activation.__name__ for layer in activations} == {"elu"}


@pytest.mark.parametrize(
    ("workload", "message"),
    [
        ("own_nets:twoers", "no function twoers in own_nets: did you mean 'towers'"),
        ("no_such_nets:towers", f"cannot be imported on {socket.gethostname()} .*no_such_nets"),
        ("flawed:same", "must return the features of each image"),
    ],
)
def test_an_invalid_workload_is_reported_in_one_line(workload: str, message: str) -> None:
    with pytest.raises(WorkloadError, match=message):
        build(workload=workload)


DEFAULTS: dict[str, Any] = {"hidden": [300, 100], "filters": [32, 64]}


@pytest.mark.parametrize(
    ("workload", "axes", "unused"),
    [
        ("own_nets:towers", {"filters": [3]}, r"filters, which is \[3\]"),
        ("flawed:sparse", {"hidden": [9]}, r"hidden, which is \[9\]"),
        ("flawed:sparse", {"depth": 2}, "depth, which is 2"),
        ("flawed:plain", {"depth": 2}, "depth, which is 2"),
        ("flawed:plain", {"norm": "layer"}, "norm, which is 'layer'"),
        ("flawed:plain", {"initializer": "zeros"}, "initializer, which is 'zeros'"),
        (
            "flawed:normed",
            {"norm": "bn_post", "batch_norm": "fused"},
            "batch_norm, which is 'fused'",
        ),
    ],
)
def test_an_axis_that_it_ignores_must_stay_at_its_default(
    workload: str, axes: dict[str, Any], unused: str
) -> None:
    build(workload=workload, **DEFAULTS)
    with pytest.raises(WorkloadError, match=f"^workload {workload} does not use {unused}: build"):
        build(workload=workload, **DEFAULTS | axes)


@pytest.mark.parametrize(
    ("workload", "axes"),
    [
        ("own_nets:towers", {"hidden": [4], "depth": 2, "norm": "group", "initializer": "zeros"}),
        ("flawed:sparse", {"norm": "bn_pre", "activation": "selu", "initializer": "zeros"}),
        ("flawed:plain", {"hidden": [4], "activation": "tanh"}),
        ("flawed:sparse", {"norm": "bn_pre", "batch_norm": "fused"}),
        # batch_norm has no effect here, so it makes no separate arm.
        ("flawed:plain", {"hidden": [4], "batch_norm": "fused"}),
    ],
)
def test_an_axis_that_it_reads_may_vary(workload: str, axes: dict[str, Any]) -> None:
    assert build(workload=workload, **DEFAULTS | axes).output_shape == (None, 5)


HEADS = """
import keras

L = keras.layers

def hidden(layers, images):
    return layers.hidden(layers.dense(7), layers.flatten()(images))

def softmax(layers, images):
    return L.Dense(5, activation="softmax")(hidden(layers, images))

def other_width(layers, images):
    return L.Dense(9, activation="softmax")(hidden(layers, images))

def separate(layers, images):
    return L.Activation("softmax", dtype="float32")(L.Dense(5)(hidden(layers, images)))

def layer(layers, images):
    return L.Softmax()(L.Dense(5)(hidden(layers, images)))

def function(layers, images):
    return keras.ops.log_softmax(L.Dense(5)(hidden(layers, images)))

def by_lambda(layers, images):
    return L.Lambda(keras.activations.softmax)(L.Dense(5)(hidden(layers, images)))

def logits(layers, images):
    return L.Dense(5)(hidden(layers, images))

def cast(layers, images):
    return L.Activation("linear", dtype="float32")(layers.dense(5)(hidden(layers, images)))

def pooled(layers, images):
    return layers.mean()(L.Conv2D(5, 1)(layers.hidden(layers.convolution(3), images)))

def nested(layers, images):
    start = keras.Input(images.shape[1:])
    inner = keras.Model(start, L.Dense(5)(L.Flatten()(start)))
    return inner(images)

def sequence(layers, images):
    return keras.Sequential([L.Flatten(), L.Dense(7, "relu"), L.Dense(5), L.Softmax()])(images)

def wide(layers, images):
    return L.Dense(6)(hidden(layers, images))

def active(layers, images):
    return L.Dense(5, activation="relu")(hidden(layers, images))

def as_wide(layers, images):
    return layers.hidden(layers.dense(5), hidden(layers, images))

def gated(layers, images):
    x = hidden(layers, images)
    return L.Multiply()([x, L.Dense(7, activation="softmax")(x)])

class Softmax(keras.Layer):
    def __init__(self):
        super().__init__()
        self.dense = L.Dense(5)

    def call(self, inputs):
        return keras.ops.softmax(self.dense(inputs))

class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.inner = Softmax()

    def call(self, inputs):
        return self.inner(inputs)

def subclassed(layers, images):
    return Net()(hidden(layers, images))

def anonymous(layers, images):
    return L.Lambda(lambda x: keras.ops.softmax(x))(L.Dense(5)(hidden(layers, images)))

def scaled_softmax(layers, images):
    return softmax(layers, images) * 1.0

def dropped(layers, images):
    return L.Dropout(0.5)(logits(layers, images))

def halved(layers, images):
    return logits(layers, images) / 2

def averaged(layers, images):
    return L.Average()([logits(layers, images), logits(layers, images)])

def separable(layers, images):
    return layers.mean()(L.SeparableConv2D(5, 3)(images))

def over_rows(layers, images):
    x = L.Reshape((4, 4))(images)
    return L.GlobalAveragePooling1D()(L.Conv1D(5, 2)(x))

def half_a_head(layers, images):
    return L.Average()([logits(layers, images), as_wide(layers, images)])

def pooled_features(layers, images):
    return layers.mean()(layers.hidden(layers.convolution(5), images))
"""


@pytest.fixture
def heads(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "heads", raising=False)
    (folder / "heads.py").write_text(HEADS)


@pytest.mark.usefixtures("heads")
@pytest.mark.parametrize(
    "name",
    [
        *("softmax", "separate", "layer", "function", "by_lambda", "logits", "cast"),
        *("pooled", "nested", "sequence", "subclassed", "anonymous", "scaled_softmax", "dropped"),
        *("halved", "averaged", "separable", "over_rows"),
    ],
)
def test_a_network_that_ends_in_a_head_is_rejected(name: str) -> None:
    with pytest.raises(WorkloadError, match="return the features before it"):
        build(workload=f"heads:{name}", **DEFAULTS)


@pytest.mark.usefixtures("heads")
@pytest.mark.parametrize("activation", ["relu", "linear"])
@pytest.mark.parametrize(
    "name",
    [
        *("wide", "active", "as_wide", "gated", "pooled_features", "other_width"),
        "half_a_head",
    ],
)
def test_features_as_wide_as_the_classes_are_no_head(name: str, activation: str) -> None:
    build(workload=f"heads:{name}", activation=activation, **DEFAULTS)


RANDOM_NETWORK = """
import keras, numpy, random

def net(layers, images):
    x = keras.layers.Dense(6, "relu")(layers.flatten()(images))
    x = keras.layers.Dropout(0.5)(x)
    return keras.layers.Dense(4, "relu", bias_initializer="normal")(x)
"""


def test_random_numbers_without_a_seed_follow_from_the_trial_s_seed(folder: Path) -> None:
    (folder / "random_network.py").write_text(RANDOM_NETWORK)
    variant = small(workload="random_network:net", **DEFAULTS)
    images = np.random.default_rng(1).uniform(0, 1, (8, 4, 4, 1)).astype("float32")

    def values(seed: int) -> list[np.ndarray]:
        model = build_model(variant, (4, 4, 1), 5, seed)
        return [v.numpy() for v in model.variables] + [model(images, training=True).numpy()]

    first, again, other = values(1), values(1), values(2)
    for ours, same in zip(first, again, strict=True):
        np.testing.assert_array_equal(ours, same)
    assert not np.array_equal(first[-1], other[-1])


def test_the_caller_s_random_numbers_are_unaffected() -> None:
    def draws() -> tuple[float, float]:
        return random.random(), float(np.random.random())

    random.seed(3)
    np.random.seed(3)
    expected = draws()
    random.seed(3)
    np.random.seed(3)
    build(workload="flawed:plain", **DEFAULTS)
    assert draws() == expected


FAULTY = """
import keras

def early(layers, images):
    return layers.nothing

class Late(keras.layers.Layer):
    def call(self, inputs, training=None):
        if training:
            raise TypeError("only in training")
        return inputs

def late(layers, images):
    return Late()(layers.hidden(layers.dense(4), layers.flatten()(images)))

def narrow(layers, images):
    return layers.hidden(layers.dense(1), layers.flatten()(images))
"""


@pytest.mark.parametrize(
    ("source", "name", "axes", "line"),
    [
        (FAULTY, "early", {}, "(faulty.py, line 5)"),
        (FAULTY, "late", {}, "(faulty.py, line 10)"),
        (FAULTY, "narrow", {"norm": "layer"}, "(faulty.py, line 17)"),
        ("import no_such_module_here", "net", {}, "(faulty.py, line 1)"),
        ("import keras\nraise SystemExit('no')", "net", {}, "(faulty.py, line 2)"),
        ("def net(layers images): ...", "net", {}, "(faulty.py, line 1)"),
    ],
)
def test_an_error_in_it_is_reported_with_file_and_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, source: str, name: str, axes: Any, line: str
) -> None:
    (folder / "faulty.py").write_text(source)
    monkeypatch.delitem(sys.modules, "faulty", raising=False)
    importlib.invalidate_caches()
    variant = small(workload=f"faulty:{name}", **DEFAULTS, **axes)
    # In this process, where the number of threads is already fixed.
    monkeypatch.setattr(runtime, "configure", lambda *_: None)
    record = train(trial_of(variant), lambda: arrays_of(variant), threads=1)
    assert record.status == "failed"
    assert line in (record.error or "")
    assert "\n" not in (record.error or "")
    assert "\x1b" not in (record.error or "")


def test_layers_without_a_dtype_have_that_of_the_precision() -> None:
    before = keras.config.dtype_policy().name
    model = build(workload="flawed:plain", precision="mixed_bfloat16", filters=[32, 64])
    assert {layer.compute_dtype for layer in model.layers[1:-1]} == {"bfloat16"}
    assert keras.config.dtype_policy().name == before


def test_a_change_of_its_source_changes_its_fingerprint(folder: Path) -> None:
    variant = small(workload="flawed:plain")
    before = workload_source(variant)
    assert before == workload_source(variant)
    (folder / "flawed.py").write_text(f"{FLAWED}\n")
    assert before != workload_source(variant)
    assert workload_source(small()) == {}


def test_every_file_of_its_package_counts_as_its_source(folder: Path) -> None:
    variant = small(workload="nets.own:towers")
    (folder / "nets/parts").mkdir(parents=True)
    for name in ("__init__", "own", "parts/blocks"):
        (folder / f"nets/{name}.py").write_text("")
    before = workload_source(variant)
    (folder / "nets/parts/blocks.py").write_text("SIZE = 3\n")
    assert before != workload_source(variant)


@pytest.mark.slow
def test_a_trial_of_a_missing_workload_fails_with_the_reason() -> None:
    record = train_fresh(small(workload="no_such_nets:towers"))
    assert record.status == "failed"
    assert "no_such_nets" in (record.error or "")
