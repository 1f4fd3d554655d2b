"""The variants of a suite that somebody asks for alone."""

from typing import Any

import pytest

from bench.errors import SuiteError
from bench.spec.expand import expand, lost_baselines, lost_pairs
from bench.spec.suite import Suite, parse_suite

CONTENT: dict[str, Any] = {
    "name": "mixed",
    "matrix": {"norm": ["none", "bn_post", "layer"], "hidden": [[300, 100], [50]]},
    "variants": [
        {"label": "E1 He uniform", "initializer": "he_uniform"},
        {"label": "E10 tanh", "activation": "tanh"},
    ],
    "compare": [{"axis": "norm", "baseline": "none"}],
}


def asked(*only: str) -> Suite:
    return parse_suite({**CONTENT, "only": list(only)})


def kept(*only: str) -> list[str]:
    return [cell.label for cell in expand(asked(*only))]


def test_values_of_one_axis_add_up() -> None:
    wide = ["norm=bn_post, hidden=300-100", "norm=bn_post, hidden=50"]
    assert kept("norm=bn_post") == wide
    assert kept("norm=layer,bn_post") == kept("norm=bn_post", "norm=layer")
    assert len(kept("norm=layer,bn_post")) == 4


def test_different_axes_narrow() -> None:
    assert kept("norm=bn_post", "hidden=[50]") == ["norm=bn_post, hidden=50"]
    assert len(kept("norm=bn_post", "hidden=[[50], [300, 100]]")) == 2


def test_an_axis_that_the_suite_does_not_vary_has_its_default() -> None:
    assert kept("activation=tanh") == ["E10 tanh"]
    assert kept("per_replica_batch_size=32") == kept()


@pytest.mark.parametrize("name", ["E1", "E1 He", "E1 He uniform"])
def test_a_label_is_found_by_the_words_that_it_begins_with(name: str) -> None:
    assert kept(name) == ["E1 He uniform"]


@pytest.mark.parametrize("label", ["norm=bn_post, hidden=50", "norm=layer, hidden=300-100"])
def test_a_label_of_the_matrix_is_found_as_it_is_printed(label: str) -> None:
    assert kept(label) == [label]


def test_an_id_is_found_by_its_beginning() -> None:
    cell = expand(asked())[2]
    assert kept(cell.id) == kept(cell.id[:6]) == [cell.label]


def test_names_add_to_each_other_and_to_what_has_the_settings() -> None:
    assert kept("E10 tanh", "E1") == ["E1 He uniform", "E10 tanh"]
    assert kept("E10 tanh", "norm=layer", "hidden=[50]") == ["norm=layer, hidden=50", "E10 tanh"]


@pytest.mark.parametrize(
    ("only", "hint"),
    [
        (["E10 tahn"], "did you mean 'E10 tanh'?"),
        (["e1 he uniform"], "did you mean 'E1 He uniform'?"),
        (["zzz"], "bench plan"),
        ([""], "bench plan"),
        (["norm=group"], "use one of none, bn_post, layer"),
        (["hidden=[7]"], "use one of [300, 100], [50]"),
        (["hidden=7"], "[300, 100]"),
        (["norm=Layer"], "did you mean 'layer'?"),
        (["nrom=layer"], "did you mean 'norm'?"),
        (["norm=layer", "activation=tanh"], "norm and activation"),
        (["norm=layer", "zzz"], "'zzz'"),
    ],
)
def test_what_no_variant_answers_to_is_refused_with_what_comes_near(
    only: list[str], hint: str
) -> None:
    with pytest.raises(SuiteError) as caught:
        kept(*only)
    assert str(caught.value).startswith("mixed: only: ")
    assert hint in str(caught.value)


def test_comparisons_that_lose_their_baseline_are_told() -> None:
    cells = {cell.label: cell.id for cell in expand(asked())}
    (lost,) = lost_pairs(asked("norm=bn_post", "hidden=[50]"))
    assert lost.variant_id == cells["norm=bn_post, hidden=50"]
    assert lost.baseline_id == cells["norm=none, hidden=50"]
    assert lost_pairs(asked("norm=bn_post,none")) == ()
    assert lost_pairs(asked()) == ()
    (baseline,) = lost_baselines(asked("norm=bn_post", "hidden=[50]"))
    assert (baseline.id, baseline.comparisons) == (lost.baseline_id, 1)
    assert baseline.label == "norm=none, hidden=50"
