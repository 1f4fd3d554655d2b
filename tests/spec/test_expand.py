"""A suite expands into distinct variants, and each comparison pairs them with baselines."""

from pathlib import Path
from typing import Any

import pytest

from bench.errors import SuiteError
from bench.spec.expand import MAX_TRIALS, Cell, expand
from bench.spec.pairing import pair_cells
from bench.spec.suite import Suite, load_suite, parse_suite

AGAINST_NONE = {"axis": "norm", "baseline": "none"}


def suite(**content: Any) -> Suite:
    return parse_suite({"name": "test", **content})


def labels(**content: Any) -> list[str]:
    return [cell.label for cell in expand(suite(**content))]


def compared(**content: Any) -> list[tuple[str, str]]:
    """Return each pair as (label, baseline's label)."""
    test_suite = suite(**content)
    cells = expand(test_suite)
    by_id = {cell.variant.id: cell.label for cell in cells}
    return [(by_id[p.variant_id], by_id[p.baseline_id]) for p in pair_cells(cells, test_suite)]


def test_a_suite_without_tables_is_one_cell_of_defaults() -> None:
    assert labels() == ["test"]


def test_the_matrix_is_a_product_whose_last_key_varies_fastest() -> None:
    assert labels(matrix={"norm": ["none", "layer"], "hidden": [[300, 100], [50]]}) == [
        "norm=none, hidden=300-100",
        "norm=none, hidden=50",
        "norm=layer, hidden=300-100",
        "norm=layer, hidden=50",
    ]


def test_the_matrix_overrides_the_variant() -> None:
    (cell,) = expand(suite(variant={"norm": "layer", "epochs": 5}, matrix={"norm": ["none"]}))
    assert (cell.variant.norm, cell.variant.epochs) == ("none", 5)


def test_listed_variants_override_the_variant_and_come_after_the_matrix() -> None:
    cells = expand(
        suite(
            variant={"epochs": 5},
            matrix={"norm": ["none", "layer"]},
            variants=[{"clip": "value", "label": "clipped"}, {"epochs": 7}],
        )
    )
    assert [c.label for c in cells] == ["norm=none", "norm=layer", "clipped", "epochs=7"]
    assert [c.variant.epochs for c in cells] == [5, 5, 5, 7]


def test_listed_variants_replace_the_bare_variant() -> None:
    assert labels(variants=[{"norm": "layer"}]) == ["norm=layer"]


def test_equal_variants_are_one_with_the_label_of_either() -> None:
    content = {"matrix": {"norm": ["none", "layer", "none"]}}
    assert labels(**content) == ["norm=none", "norm=layer"]
    assert labels(**content, variants=[{"norm": "none", "label": "plain"}]) == [
        "plain",
        "norm=layer",
    ]
    # Without clipping there is no threshold, so these two train alike.
    assert labels(matrix={"clip_threshold": [1.0, 2.0]}) == ["clip_threshold=1.0"]


@pytest.mark.parametrize(
    ("variant", "matrix", "keys"),
    [
        ({}, {"clip_threshold": [1.0, 2.0]}, {"clip_threshold"}),
        ({}, {"batch_norm": ["keras", "fused"]}, {"batch_norm"}),
        ({"norm": "bn_post"}, {"synchronized": [True, False]}, {"synchronized"}),
        ({}, {"communication": ["full", "none"]}, {"communication"}),
        ({}, {"all_reduce": ["auto", "ring"]}, {"all_reduce"}),
        ({}, {"placement": ["pack", "spread"]}, {"placement"}),
        ({}, {"max_steps": [5000, 6000]}, {"max_steps"}),
        ({"precision": "mixed_float16"}, {"non_finite": ["apply", "skip"]}, {"non_finite"}),
        ({}, {"filters": [[1], [2]]}, {"filters"}),
        ({"workload": "resnet50"}, {"hidden": [[1], [2]]}, {"hidden"}),
        ({}, {"classes": [3, 4], "shape": [[8, 8, 1]]}, {"classes"}),
        ({}, {"health_epochs": [[0], [-1]]}, {"health_epochs"}),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, set) else None,
)
def test_a_duplicate_names_the_keys_without_effect(
    variant: dict[str, Any], matrix: dict[str, Any], keys: set[str]
) -> None:
    (cell,) = expand(suite(variant=variant, matrix=matrix))
    (duplicate,) = cell.duplicates
    assert duplicate.without_effect.keys() == keys
    assert all(duplicate.without_effect.values())
    assert (duplicate.variant_id, duplicate.same_as) == (cell.id, cell.label)
    assert duplicate.label != cell.label


def test_equal_layers_are_one_variant_however_they_are_written() -> None:
    (cell,) = expand(suite(variants=[{"hidden": [8], "depth": 2}, {"hidden": [8, 8]}]))
    (duplicate,) = cell.duplicates
    assert duplicate.without_effect.keys() == {"hidden", "depth"}


def test_variants_that_differ_in_health_epochs_are_one_with_all_of_them() -> None:
    looks = [[-1], [0], [0, 3, -1], []]
    (cell,) = expand(suite(variant={"epochs": 5}, matrix={"health_epochs": looks}))
    assert cell.variant.health_epochs == (0, 3, -1)
    assert [d.without_effect.keys() for d in cell.duplicates] == [{"health_epochs"}] * 3
    (alone,) = expand(suite(variant={"epochs": 5, "health_epochs": [-1]}))
    assert alone.id == cell.id


def test_a_variant_that_is_listed_twice_is_not_a_duplicate() -> None:
    content = {"matrix": {"norm": ["none", "layer", "none"]}, "variants": [{"norm": "layer"}]}
    assert [cell.duplicates for cell in expand(suite(**content))] == [(), ()]


def test_a_duplicate_that_brings_a_label_names_the_earlier_label() -> None:
    listed = {"clip_threshold": 2.0, "label": "wide"}
    (cell,) = expand(suite(matrix={"clip_threshold": [1.0]}, variants=[listed]))
    assert (cell.label, cell.variant.clip_threshold) == ("wide", 1.0)
    (duplicate,) = cell.duplicates
    assert (duplicate.label, duplicate.same_as) == ("wide", "clip_threshold=1.0")


def test_exclude_drops_cells_by_defaults_and_by_settings() -> None:
    matrix = {"norm": ["none", "layer"], "global_batch_size": [32, 8192]}
    rule = {"norm": "layer", "global_batch_size": 8192}
    assert "norm=layer, global_batch_size=8192" not in labels(matrix=matrix, exclude=[rule])
    assert len(labels(matrix=matrix, exclude=[rule])) == 3
    assert labels(
        matrix={"norm": ["none", "layer"]}, variants=[{"jit": "none"}], exclude=[{"jit": "epoch"}]
    ) == ["jit=none"]
    assert labels(
        matrix={"global_batch_size": [32, 64]}, exclude=[{"per_replica_batch_size": 32}]
    ) == ["global_batch_size=64"]


def test_exclude_drops_cells_whose_settings_contradict() -> None:
    content = {"variant": {"examples": 100}, "matrix": {"global_batch_size": [32, 512]}}
    with pytest.raises(SuiteError, match=r"larger than the data.* or drop the cell by \[\[excl"):
        expand(suite(**content))
    assert len(expand(suite(**content, exclude=[{"global_batch_size": 512}]))) == 1


def test_a_suite_that_excludes_everything_is_refused() -> None:
    with pytest.raises(SuiteError, match=r"no variant is left: loosen \[\[exclude\]\]"):
        expand(suite(exclude=[{"norm": "none"}]))


def test_only_selects_variants_by_the_beginning_of_their_ids() -> None:
    content: dict[str, Any] = {"matrix": {"norm": ["none", "layer"]}, "compare": [AGAINST_NONE]}
    plain, layer = expand(suite(**content))
    narrowed = suite(**content, only=[layer.id[:6]])
    assert [cell.id for cell in expand(narrowed)] == [layer.id]
    assert pair_cells(expand(narrowed), narrowed) == ()
    with pytest.raises(SuiteError, match=r"only: .*'xyz'"):
        expand(suite(**content, only=[plain.id, "xyz"]))


@pytest.mark.timeout(120)  # Expanding these would take years.
def test_the_limit_is_checked_before_anything_is_expanded() -> None:
    rates = [0.001 * (i + 1) for i in range(1000)]
    matrix = {
        "learning_rate": rates,
        "clip_threshold": rates,
        "target_accuracy": [rate / 10 for rate in rates],
        "examples": list(range(55_000, 56_000)),
    }
    test_suite = suite(blocks=1, matrix=matrix)
    with pytest.raises(SuiteError, match="asks for 1000000000000 trials, more than 100000"):
        expand(test_suite)


def test_the_limit_counts_blocks_and_listed_variants() -> None:
    expand(suite(blocks=MAX_TRIALS))
    with pytest.raises(SuiteError, match="lower blocks"):
        expand(suite(blocks=MAX_TRIALS + 1))
    with pytest.raises(SuiteError, match="asks for 100001 trials"):
        expand(suite(blocks=1, matrix={"epochs": list(range(1, MAX_TRIALS + 1))}, variants=[{}]))


def test_errors_of_expansion_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('name = "other"\n[variant]\nreplicas = 2\n')
    with pytest.raises(SuiteError) as raised:
        expand(load_suite(path))
    assert str(raised.value).startswith(f"{path}: ")
    assert "[[exclude]]" not in str(raised.value)


def test_each_cell_is_paired_with_the_baseline_that_is_equal_in_every_other_axis() -> None:
    assert compared(
        matrix={"norm": ["none", "layer"], "epochs": [2, 3]}, compare=[AGAINST_NONE]
    ) == [
        ("norm=layer, epochs=2", "norm=none, epochs=2"),
        ("norm=layer, epochs=3", "norm=none, epochs=3"),
    ]


def test_a_default_counts_as_its_value() -> None:
    listed = [{"norm": "none", "label": "plain"}, {"norm": "layer", "global_batch_size": 32}]
    assert compared(variants=listed, compare=[AGAINST_NONE]) == [
        ("norm=layer, global_batch_size=32", "plain")
    ]


def test_a_later_label_does_not_separate_a_cell_from_its_pair() -> None:
    assert compared(
        matrix={"norm": ["none", "layer"], "global_batch_size": [32, 64]},
        variants=[{"norm": "none", "label": "plain"}],
        compare=[AGAINST_NONE],
    ) == [
        ("norm=layer, global_batch_size=32", "plain"),
        ("norm=layer, global_batch_size=64", "norm=none, global_batch_size=64"),
    ]


def test_a_key_without_effect_on_the_baseline_does_not_separate_cells() -> None:
    assert compared(
        matrix={"clip": ["none", "value"], "clip_threshold": [0.5, 1.0]},
        compare=[{"axis": "clip", "baseline": "none"}],
    ) == [
        ("clip=value, clip_threshold=0.5", "clip=none, clip_threshold=0.5"),
        ("clip=value, clip_threshold=1.0", "clip=none, clip_threshold=0.5"),
    ]


def test_defaults_that_follow_from_the_axis_do_not_separate_cells() -> None:
    content: dict[str, Any] = {
        "matrix": {"strategy": ["one_device", "mirrored", "multi_worker"], "norm": ["none"]},
        "compare": [{"axis": "strategy", "baseline": "one_device"}],
    }
    assert {cell.variant.jit for cell in expand(suite(**content))} == {"none", "epoch"}
    assert compared(**content) == [
        ("strategy=mirrored, norm=none", "strategy=one_device, norm=none"),
        ("strategy=multi_worker, norm=none", "strategy=one_device, norm=none"),
    ]


def test_an_exact_match_is_preferred_to_one_by_defaults() -> None:
    listed = [
        {"strategy": "one_device", "label": "compiled"},
        {"strategy": "one_device", "jit": "none", "label": "plain"},
        {"strategy": "mirrored", "label": "mirrored"},
    ]
    assert compared(variants=listed, compare=[{"axis": "strategy", "baseline": "one_device"}]) == [
        ("mirrored", "plain")
    ]


@pytest.mark.parametrize("axis", ["global_batch_size", "per_replica_batch_size"])
@pytest.mark.parametrize("written_as", ["global_batch_size", "per_replica_batch_size"])
def test_batch_sizes_are_compared_however_they_are_set(axis: str, written_as: str) -> None:
    assert compared(matrix={written_as: [32, 64]}, compare=[{"axis": axis, "baseline": 32}]) == [
        (f"{written_as}=64", f"{written_as}=32")
    ]


def test_replicas_are_compared_at_an_equal_batch_each() -> None:
    test_suite = suite(
        variant={"strategy": "mirrored"},
        matrix={"replicas": [1, 2]},
        compare=[{"axis": "replicas", "baseline": 1}],
    )
    one, two = expand(test_suite)
    assert (one.variant.global_batch_size, two.variant.global_batch_size) == (32, 64)
    assert [(p.variant_id, p.baseline_id) for p in pair_cells((one, two), test_suite)] == [
        (two.id, one.id)
    ]


def test_labelled_variants_are_compared_by_label() -> None:
    content: dict[str, Any] = {
        "matrix": {"epochs": [4]},
        "variants": [
            {"label": "one", "clip": "value"},
            {"label": "two", "norm": "layer"},
            {"label": "base"},
        ],
    }
    by_label = {"axis": "label", "baseline": "base"}
    assert compared(**content, compare=[by_label]) == [("one", "base"), ("two", "base")]


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        ([{"label": "a"}, {"label": "basse", "epochs": 1}], "did you mean 'basse'"),
        ([{"label": "base"}, {"epochs": 1}], "only 'base' has a label"),
    ],
)
def test_a_comparison_by_label_needs_one_such_label(
    variants: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(SuiteError, match=message):
        compared(variants=variants, compare=[{"axis": "label", "baseline": "base"}])


def test_two_variants_with_one_label_are_refused_with_both_ids() -> None:
    listed = [{"label": "same"}, {"label": "same", "epochs": 1}]
    ids = [expand(suite(variants=[each]))[0].id for each in listed]
    with pytest.raises(SuiteError, match=f"variants {ids[0]} and {ids[1]} are both labelled"):
        labels(variants=listed)


def test_a_variant_that_is_listed_twice_under_one_label_is_one() -> None:
    assert labels(variants=[{"label": "same"}, {"label": "same"}]) == ["same"]


def test_a_repeated_comparison_is_made_once() -> None:
    matrix = {"norm": ["none", "layer"]}
    assert len(compared(matrix=matrix, compare=[AGAINST_NONE, AGAINST_NONE])) == 1


def test_a_comparison_without_pairs_is_refused() -> None:
    with pytest.raises(SuiteError, match="no two variants differ only in norm"):
        compared(matrix={"norm": ["layer", "bn_post"]}, compare=[AGAINST_NONE])


def test_a_cell_keeps_its_settings_without_defaults() -> None:
    cells: tuple[Cell, ...] = expand(suite(variant={"epochs": 2}, matrix={"norm": ["layer"]}))
    assert cells[0].settings == {"epochs": 2, "norm": "layer"}
