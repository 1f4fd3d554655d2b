"""A suite is read from TOML; errors name the file, the key and the nearest valid name."""

from pathlib import Path
from typing import Any

import pytest

from bench.errors import SuiteError
from bench.spec.overrides import apply_overrides
from bench.spec.plan import make_plan
from bench.spec.suite import Suite, first_difference, load_suite, parse_suite, shipped_suites

BN_OVERHEAD = """
name = "bn-overhead"
description = "free text"
blocks = 3
seed = 20260101

[variant]
workload = "mlp"
hidden = [300, 100]
epochs = 3
global_batch_size = 32

[matrix]
norm = ["none", "bn_post", "bn_pre"]

[[exclude]]
norm = "bn_pre"
global_batch_size = 8192

[[compare]]
axis = "norm"
baseline = "none"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "bn.toml"
    path.write_text(BN_OVERHEAD)
    return path


def refusal(text: str | bytes, path: Path, changes: dict[str, Any] | None = None) -> str:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(SuiteError) as raised:
        load_suite(path, changes)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_suite_holds_what_its_file_says(file: Path) -> None:
    suite = load_suite(file)
    assert (suite.name, suite.blocks, suite.seed) == ("bn-overhead", 3, 20260101)
    assert suite.variant["hidden"] == (300, 100)
    assert suite.matrix == {"norm": ["none", "bn_post", "bn_pre"]}
    assert suite.exclude == [{"norm": "bn_pre", "global_batch_size": 8192}]
    assert suite.compare[0].axis == "norm"


def test_a_suite_has_six_blocks_and_seed_zero_by_default() -> None:
    suite = parse_suite({"name": "bare"})
    assert (suite.blocks, suite.seed) == (6, 0)
    assert not (suite.variant or suite.matrix or suite.variants or suite.exclude or suite.compare)


def test_a_suite_survives_json(file: Path) -> None:
    suite = load_suite(file)
    again = parse_suite(suite.model_dump(mode="json"))
    assert again.model_dump() == suite.model_dump()


@pytest.mark.parametrize("name", shipped_suites())
def test_every_shipped_suite_can_be_loaded_by_name_and_planned(name: str) -> None:
    suite = load_suite(name)
    assert suite.name == name
    assert suite.description
    assert make_plan(suite).trials


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "name is missing: add name = ..."),
        ("name = 3", "name cannot be 3: it should be text"),
        ('name = "a b"', "name cannot be 'a b': it should be letters, digits, dots, dashes and"),
        ('name = "-a"', "name cannot be '-a': it should be letters"),
        ('name = ""', "name cannot be '': it should be letters"),
        ('name = "a"\nblcks = 2', "unknown key 'blcks': did you mean 'blocks'?"),
        ('name = "a"\nblocks = 0', "blocks cannot be 0: it should be 1 or more"),
        ('name = "a"\nblocks = 1.0', "blocks cannot be 1.0: it should be a whole number"),
        ('name = "a"\nprecision = 0', "precision cannot be 0: it should be above 0"),
        ('name = "a"\nprecision = -0.02', "precision cannot be -0.02: it should be above 0"),
        ('name = "a"\nprecision = 1.0', "precision cannot be 1.0: it should be below 1"),
        ('name = "a"\nprecision = "float32"', "precision is not a key of the suite itself: move"),
        ('name = "a"\n[variant]\nprecision = 0.02', "variant: precision cannot be 0.02: use one"),
        ('name = "a"\nmax_blocks = 5', "max_blocks cannot be 5: it should be 6 or more"),
        ('name = "a"\nseed = -1', "seed cannot be -1: it should be 0 or more"),
        ('name = "a"\nseed = 2147483648', "seed cannot be 2147483648: it should be below 214748"),
        (
            'name = "a"\nturns = "windows"',
            "turns cannot be 'windows': it should be 'window', 'epoch'",
        ),
        ('name = "a"\nturn_s = 0', "turn_s cannot be 0: it should be above 0"),
        ('name = "a"\nturn_s = inf', "turn_s cannot be inf: it should be a finite number"),
        ('name = "a"\narms_at_once = 0', "arms_at_once cannot be 0: it should be 1 or more"),
        ('name = "a"\nvariant = 3', "variant should be one table: write [variant]"),
        ('name = "a"\n[[variant]]\nepochs = 1', "variant should be one table: write [variant]"),
        ('name = "a"\n[compare]\naxis = "norm"', "compare should be a list of tables: write [["),
        ('name = "a"\n[variant]\nnrm = "none"', "variant: unknown key 'nrm': did you mean 'norm'"),
        ('name = "a"\n[variant]\nnorm = "bn"', "variant: norm cannot be 'bn': did you mean 'bn_"),
        ('name = "a"\n[variant]\nnorm = 2026-01-01', "variant: norm cannot be the date or time 2"),
        ('name = "a"\n[variant]\nhidden = []\n[variant.norm]\na = 1', "variant: norm cannot be a"),
        ('name = "a"\n[matrix]\nepochs = "2"', "matrix: epochs cannot be '2'"),
        ('name = "a"\n[matrix]\nnorm = "none"', "matrix: norm is a single value: write norm = ['"),
        ('name = "a"\n[variant]\nlabel = "b"', "variant: a label names one variant"),
        ('name = "a"\n[matrix]\nnrm = "none"', "matrix: unknown key 'nrm': did you mean 'norm'?"),
        ('name = "a"\n[matrix]\nnorm = []', "matrix: norm is an empty list: write values"),
        ('name = "a"\n[matrix]\nhidden = [300]', "matrix: hidden cannot be 300: it should be a l"),
        ('name = "a"\n[matrix]\nnorm = ["none", "bn_pst"]', "matrix: norm cannot be 'bn_pst': di"),
        ('name = "a"\n[[variants]]\nepochs = 1\n[[variants]]\nepoch = 1', "variants[1]: unknown "),
        ('name = "a"\n[[variants]]\nlabel = 3', "variants[0]: label must be text, not 3"),
        ('name = "a"\n[[exclude]]\nnrm = "none"', "exclude[0]: unknown key 'nrm'"),
        ('name = "a"\n[[exclude]]', "exclude[0]: is empty: name a key"),
        ('name = "a"\n[[compare]]\naxis = "norm"', "compare[0].baseline is missing: add baseline"),
        ('name = "a"\n[[compare]]\naxs = "norm"', "compare[0]"),
        (
            'name = "a"\n[[compare]]\naxis = "norm"\nbaseline = "none"\nbase = 1',
            "compare[0]: unknown key 'base': did you mean 'baseline'?",
        ),
        (
            'name = "a"\n[[compare]]\naxis = "nrm"\nbaseline = "none"',
            "compare[0]: unknown key 'nrm': did you mean 'norm'?",
        ),
        (
            'name = "a"\n[[compare]]\naxis = "norm"\nbaseline = "non"',
            "compare[0]: norm cannot be 'non': did you mean 'none'?",
        ),
        (
            'name = "a"\n[[compare]]\naxis = "label"\nbaseline = 3',
            "compare[0]: baseline must be a label, not 3",
        ),
        ("name = ", "not valid TOML"),
        ("name = " + "[" * 5000, "not valid TOML"),
        ("blocks = " + "9" * 5000, "not valid TOML"),
    ],
)
def test_an_invalid_suite_is_refused_with_file_key_and_remedy(
    text: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "bad.toml"
    assert refusal(text, path).startswith(f"{path}: {message}")


def test_a_path_that_is_not_a_suite_file_is_refused(tmp_path: Path) -> None:
    assert "is not UTF-8 text" in refusal(b"\xff\xfe", tmp_path / "latin.toml")
    with pytest.raises(SuiteError, match="is a directory: name a TOML file"):
        load_suite(tmp_path)
    with pytest.raises(SuiteError, match=r"no suite 'nowhere\.toml', shipped or as a file"):
        load_suite("nowhere.toml")
    with pytest.raises(SuiteError, match="cannot be read: Not a directory"):
        load_suite(tmp_path / "latin.toml" / "x")


def test_a_change_replaces_a_key_of_the_suite(file: Path) -> None:
    assert load_suite(file, {"blocks": 7, "seed": 1}).blocks == 7


def test_a_changed_axis_is_removed_from_every_other_table(file: Path) -> None:
    suite = load_suite(file, {"norm": "bn_pre"})
    assert (suite.variant["norm"], suite.matrix) == ("bn_pre", {})
    suite = load_suite(file, {"epochs": [1, 2]})
    assert suite.matrix["epochs"] == [1, 2]
    assert "epochs" not in suite.variant


def test_a_changed_axis_may_be_named_with_its_table(file: Path) -> None:
    assert load_suite(file, {"variant.epochs": 2}).variant["epochs"] == 2
    assert load_suite(file, {"matrix.norm": ["none", "layer"]}).matrix["norm"] == ["none", "layer"]


def test_a_change_holds_for_listed_variants_too() -> None:
    content = {"name": "a", "variants": [{"epochs": 1, "label": "short"}, {"epochs": 9}]}
    suite = parse_suite(apply_overrides(content, "epochs", 2, Suite.model_fields))
    assert suite.variant == {"epochs": 2}
    assert suite.variants == [{"label": "short"}, {}]


def test_a_list_of_values_is_refused_for_listed_variants() -> None:
    with pytest.raises(SuiteError, match="--set: epochs takes one value here: the suite lists"):
        load_suite("notebook", {"epochs": [1, 2]})


def test_a_time_limit_is_a_number_that_a_run_folder_can_hold() -> None:
    for key in ("stall_timeout_s", "trial_timeout_s", "placement_timeout_s"):
        with pytest.raises(SuiteError, match=f"{key} cannot be inf"):
            parse_suite({"name": "a", key: float("inf")})


@pytest.mark.parametrize("key", ["examples", "epochs", "global_batch_size"])
def test_a_count_that_is_too_large_to_run_is_refused(key: str) -> None:
    with pytest.raises(SuiteError, match=f"{key} cannot be 1000000000001: it should be 10000"):
        parse_suite({"name": "a", "variant": {key: 10**12 + 1}})


def test_an_error_of_the_command_line_is_not_blamed_on_the_file() -> None:
    with pytest.raises(
        SuiteError, match=r"^quick\.toml, changed by the command line: blocks cannot"
    ):
        load_suite("quick", {"blocks": 0})


def test_a_byte_order_mark_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "marked.toml"
    path.write_text('name = "marked"\n', encoding="utf-8-sig")
    assert load_suite(path).name == "marked"


@pytest.mark.parametrize("key", ["hidden", "filters", "health_epochs"])
def test_a_list_of_numbers_is_one_value_of_an_axis_of_lists(file: Path, key: str) -> None:
    assert load_suite(file, {key: [50, 20]}).variant[key] == (50, 20)
    assert load_suite(file, {key: [[50, 20], [9]]}).matrix[key] == [(50, 20), (9,)]


def test_one_way_to_set_the_batch_size_replaces_the_other(file: Path) -> None:
    suite = load_suite(file, {"per_replica_batch_size": 64})
    assert "global_batch_size" not in suite.variant


def test_an_invalid_change_is_refused_with_the_nearest_name(file: Path) -> None:
    with pytest.raises(SuiteError, match=r"--set: unknown key 'blcks': did you mean 'blocks'\?"):
        load_suite(file, {"blcks": 2})
    with pytest.raises(SuiteError, match="norm cannot be 'bn_pst': did you mean 'bn_post'"):
        load_suite(file, {"norm": ["none", "bn_pst"]})


def with_(**changes: Any) -> Suite:
    base = {"name": "a", "blocks": 2, "variant": {"epochs": 3}, "matrix": {"clip": ["none"]}}
    return parse_suite({**base, **changes})


@pytest.mark.parametrize(
    "changes", [{}, {"blocks": 3}, {"description": "other words"}], ids=["same", "more", "words"]
)
def test_a_run_can_be_resumed_with_another_description_or_more_blocks(
    changes: dict[str, Any],
) -> None:
    assert first_difference(with_(**changes), with_()) is None


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"variant": {"epochs": 10}}, "variant.epochs: 10 here, 3 in the run folder"),
        ({"variant": {}}, "variant.epochs: not set here, 3 in the run folder"),
        ({"blocks": 1}, "blocks: 1 here, 2 in the run folder"),
        ({"seed": 1}, "seed: 1 here, 0 in the run folder"),
        ({"matrix": {"clip": ["value"]}}, "matrix.clip: ['value'] here, ['none'] in the run fol"),
        ({"variants": [{"norm": "layer"}]}, "variants[0]: a table here, not set in the run fold"),
    ],
)
def test_any_other_difference_is_reported(changes: dict[str, Any], difference: str) -> None:
    message = first_difference(with_(**changes), with_())
    assert message is not None
    assert message.startswith(difference)


@pytest.mark.parametrize(
    ("here", "there", "difference"),
    [
        ({"precision": 0.02}, {}, None),
        ({"precision": 0.02}, {"precision": 0.02, "blocks": 14}, None),
        ({"precision": 0.01, "max_blocks": 50}, {"precision": 0.02}, None),
        ({"precision": 0.03}, {"precision": 0.02}, "precision: 0.03 here, 0.02 in the run folder"),
        ({}, {"precision": 0.02}, "precision: not set here, 0.02 in the run folder"),
    ],
)
def test_a_higher_precision_extends_a_run_as_more_blocks_do(
    here: dict[str, Any], there: dict[str, Any], difference: str | None
) -> None:
    assert first_difference(with_(**here), with_(**there)) == difference


def test_with_a_precision_a_comparison_has_six_blocks_or_more() -> None:
    norms = {
        "name": "a",
        "blocks": 1,
        "matrix": {"norm": ["none", "layer"]},
        "compare": [{"axis": "norm", "baseline": "none"}],
    }
    assert parse_suite(norms).blocks == 1
    assert parse_suite({**norms, "precision": 0.02}).blocks == 6
    assert parse_suite({**norms, "precision": 0.02, "blocks": 9}).blocks == 9
    assert parse_suite({**norms, "precision": 0.02, "compare": []}).blocks == 1
    assert parse_suite({**norms, "precision": 0.02}).most_blocks == 30
    assert parse_suite(norms).most_blocks == 1


def test_a_precision_is_the_suite_s_if_it_is_a_number_and_an_axis_if_it_is_a_name(
    file: Path,
) -> None:
    intervals = load_suite(file, {"precision": 0.05})
    assert (intervals.precision, intervals.variant.get("precision")) == (0.05, None)
    arithmetic = load_suite(file, {"precision": "float64"})
    assert (arithmetic.precision, arithmetic.variant["precision"]) == (None, "float64")
    names = ["float32", "float64"]
    assert load_suite(file, {"precision": names}).matrix["precision"] == names
    with pytest.raises(SuiteError, match="precision cannot be 'float3': did you mean"):
        load_suite(file, {"precision": "float3"})


def test_the_order_of_the_matrix_is_part_of_the_suite() -> None:
    one = with_(matrix={"clip": ["none"], "norm": ["none"]})
    other = with_(matrix={"norm": ["none"], "clip": ["none"]})
    assert first_difference(one, other) == "matrix: clip, norm here, norm, clip in the run folder"
