"""``only`` selects variants of a suite."""

from typing import Any

import pytest

from bench.errors import SuiteError
from bench.spec.expand import expand
from bench.spec.pairing import lost_baselines, lost_pairs
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


def suite_with(*only: str) -> Suite:
    return parse_suite({**CONTENT, "only": list(only)})


def selected_labels(*only: str) -> list[str]:
    return [cell.label for cell in expand(suite_with(*only))]


def test_values_of_one_axis_add_up() -> None:
    wide = ["norm=bn_post, hidden=300-100", "norm=bn_post, hidden=50"]
    assert selected_labels("norm=bn_post") == wide
    assert selected_labels("norm=layer,bn_post") == selected_labels("norm=bn_post", "norm=layer")
    assert len(selected_labels("norm=layer,bn_post")) == 4


def test_different_axes_narrow_the_selection() -> None:
    assert selected_labels("norm=bn_post", "hidden=[50]") == ["norm=bn_post, hidden=50"]
    assert len(selected_labels("norm=bn_post", "hidden=[[50], [300, 100]]")) == 2


def test_an_axis_that_the_suite_does_not_vary_has_its_default() -> None:
    assert selected_labels("activation=tanh") == ["E10 tanh"]
    assert selected_labels("per_replica_batch_size=32") == selected_labels()


@pytest.mark.parametrize("name", ["E1", "E1 He", "E1 He uniform"])
def test_a_label_is_found_by_its_first_words(name: str) -> None:
    assert selected_labels(name) == ["E1 He uniform"]


@pytest.mark.parametrize("label", ["norm=bn_post, hidden=50", "norm=layer, hidden=300-100"])
def test_a_label_of_the_matrix_is_found_as_printed(label: str) -> None:
    assert selected_labels(label) == [label]


def test_an_id_is_found_by_its_beginning() -> None:
    cell = expand(suite_with())[2]
    assert selected_labels(cell.id) == selected_labels(cell.id[:6]) == [cell.label]


def test_names_and_settings_add_up() -> None:
    assert selected_labels("E10 tanh", "E1") == ["E1 He uniform", "E10 tanh"]
    assert selected_labels("E10 tanh", "norm=layer", "hidden=[50]") == [
        "norm=layer, hidden=50",
        "E10 tanh",
    ]


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
def test_an_entry_without_a_match_is_refused_with_the_nearest_names(
    only: list[str], hint: str
) -> None:
    with pytest.raises(SuiteError) as raised:
        selected_labels(*only)
    assert str(raised.value).startswith("mixed: only: ")
    assert hint in str(raised.value)


def test_comparisons_that_lose_their_baseline_are_listed() -> None:
    cells = {cell.label: cell.id for cell in expand(suite_with())}
    (lost,) = lost_pairs(suite_with("norm=bn_post", "hidden=[50]"))
    assert lost.variant_id == cells["norm=bn_post, hidden=50"]
    assert lost.baseline_id == cells["norm=none, hidden=50"]
    assert lost_pairs(suite_with("norm=bn_post,none")) == ()
    assert lost_pairs(suite_with()) == ()
    (baseline,) = lost_baselines(suite_with("norm=bn_post", "hidden=[50]"))
    assert (baseline.id, baseline.comparisons) == (lost.baseline_id, 1)
    assert baseline.label == "norm=none, hidden=50"
