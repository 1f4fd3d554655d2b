"""A workload of the user's own: built by the suite's axes, and refused where it cannot be."""

from pathlib import Path

import keras
import pytest

from bench.training.models import WorkloadError, build_model, norm_settings
from tests.training_made import small, train_fresh

OUTSIDE = Path(__file__).parents[1] / "outside"


@pytest.fixture(autouse=True)
def _outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(OUTSIDE))


@pytest.mark.parametrize(("norm", "norms"), [("none", 0), ("bn_pre", 4), ("layer", 4)])
def test_it_is_built_as_the_variant_asks(norm: str, norms: int) -> None:
    variant = small(workload="own_nets:towers", norm=norm, activation="elu")
    model = build_model(variant, (4, 4, 1), 5, seed=1)
    assert norm_settings(model)["norm_layers"] == norms
    dense = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    assert sorted(layer.units for layer in dense) == [5, 8, 8, 16, 16]
    acting = [layer for layer in model.layers if isinstance(layer, keras.layers.Activation)]
    assert {layer.activation.__name__ for layer in acting} == {"elu"}


@pytest.mark.parametrize(
    ("workload", "words"),
    [
        ("own_nets:missing", "cannot be imported here .*missing.*install its package on every"),
        ("no_such_nets:towers", "cannot be imported here .*no_such_nets"),
        ("flawed:same", "must return the features of each image"),
    ],
)
def test_what_is_no_workload_is_told_in_a_line(
    workload: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "flawed.py").write_text("def same(layers, images):\n    return images\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(WorkloadError, match=words):
        build_model(small(workload=workload), (4, 4, 1), 5, seed=1)


def test_a_trial_of_one_that_is_not_there_fails_with_the_reason() -> None:
    record = train_fresh(small(workload="no_such_nets:towers"))
    assert record.status == "failed"
    assert "no_such_nets" in (record.error or "")
