"""The tables of environments are checked; their threads are a default; no secret is stored."""

from typing import Any

import pytest

from bench.errors import SuiteError
from bench.spec.plan import make_plan
from bench.spec.suite import Suite, first_difference, parse_suite
from tests.support.sample_suites import SINGLE, TINY


def suite(environments: Any, **content: Any) -> Suite:
    return parse_suite({**SINGLE, "environments": environments, **content}, "mine.toml")


@pytest.mark.parametrize(
    ("environments", "message"),
    [
        ({"a": {"pyton": "x"}}, "environments.a: unknown key 'pyton': did you mean 'python'?"),
        ({"a": {"python": 3}}, "environments.a.python cannot be 3: it should be text"),
        ({"a": {"threads": 0}}, "environments.a.threads cannot be 0: it should be 1 or more"),
        ({"a": {"variables": {"A": 1}}}, "environments.a.variables.A cannot be 1: it should be"),
        ({"a": 3}, "environments.a cannot be 3: it should be a table"),
        (3, "environments should be one table: write [environments]"),
        ({"default": {"python": "x"}}, "environments.default: is the run's own environment"),
        ({"a b": {"python": "x"}}, "environments.a b: should be letters, digits"),
        ({"a": {}}, "environments.a: sets nothing: add python, variables, revision or threads"),
        ({"a": {"setup": "make", "threads": 1}}, "environments.a: setup runs in a worktree"),
        ({"a": {"variables": {"A=B": "x"}}}, "environments.a.variables: 'A=B' cannot be set"),
        ({"a": {"variables": {"A": "\0"}}}, "environments.a.variables: 'A' cannot be set"),
        *(
            ({"a": {"variables": {name: "1"}}}, f"environments.a.variables: {name} cannot be set")
            for name in (
                *("CUDA_VISIBLE_DEVICES", "TF_CONFIG", "OMP_NUM_THREADS", "PYTHONPATH"),
                *("BENCH_CACHE_DIR", "RAY_ADDRESS"),
            )
        ),
    ],
)
def test_a_wrong_table_is_refused_by_its_key(environments: Any, message: str) -> None:
    with pytest.raises(SuiteError) as refused:
        suite(environments)
    assert str(refused.value).startswith(f"mine.toml: {message}")


@pytest.mark.parametrize(
    ("content", "where"),
    [
        ({"variant": {"environment": "tf22"}}, "variant"),
        ({"matrix": {"environment": ["default", "tf22"]}}, "matrix"),
        ({"variants": [{"environment": "tf220"}, {"environment": "tf22"}]}, "variants[1]"),
        ({"exclude": [{"environment": "tf22"}]}, "exclude[0]"),
        ({"compare": [{"axis": "environment", "baseline": "tf22"}]}, "compare[0]"),
    ],
)
def test_an_unknown_environment_is_refused_with_the_nearest(
    content: dict[str, Any], where: str
) -> None:
    with pytest.raises(SuiteError) as refused:
        suite({"tf220": {"python": "x"}}, **content)
    message = "environment cannot be 'tf22': did you mean 'tf220'?"
    assert str(refused.value) == f"mine.toml: {where}: {message}"


def test_without_a_similar_name_the_message_says_how_to_define_it() -> None:
    with pytest.raises(SuiteError, match=r"use one of default, or define \[environments.tf220\]"):
        suite({}, variant={"environment": "tf220"})


def test_the_default_environment_leaves_variant_ids_as_they_were() -> None:
    assert make_plan(parse_suite(SINGLE)).cells[0].id == "c14b7e085a"
    named = {**SINGLE, "variant": {**SINGLE["variant"], "environment": "default"}}
    assert make_plan(parse_suite(named)).cells[0].id == "c14b7e085a"


def test_an_environment_is_compared_within_each_other_setting() -> None:
    content = {
        "matrix": {**TINY["matrix"], "environment": ["default", "few", "x"]},
        "compare": [{"axis": "environment", "baseline": "few"}, *TINY["compare"]],
    }
    plan = make_plan(suite({"few": {"threads": 1}, "x": {"python": "p"}}, **content))
    cells = {cell.id: cell.variant for cell in plan.cells}
    pairs = [(cells[pair.variant_id], cells[pair.baseline_id]) for pair in plan.pairs]
    assert len(plan.blocks) == 1
    assert sorted((v.environment, b.environment, v.norm, b.norm) for v, b in pairs) == [
        ("default", "default", "bn_post", "none"),
        ("default", "few", "bn_post", "bn_post"),
        ("default", "few", "none", "none"),
        ("few", "few", "bn_post", "none"),
        ("x", "few", "bn_post", "bn_post"),
        ("x", "few", "none", "none"),
        ("x", "x", "bn_post", "none"),
    ]
    assert {(v.environment, v.threads) for v in cells.values()} == {
        ("default", None),
        ("few", 1),
        ("x", None),
    }


def test_threads_in_both_places_must_agree() -> None:
    environments = {"few": {"threads": 1}}
    variant = {**SINGLE["variant"], "environment": "few"}
    agreed = suite(environments, variant={**variant, "threads": 1})
    assert make_plan(agreed).cells[0].variant.threads == 1
    contradictory = suite(environments, variant={**variant, "threads": 2})
    with pytest.raises(SuiteError, match="threads 2 is not that of environment 'few', 1: set one"):
        make_plan(contradictory)


def test_values_that_may_be_secret_are_not_stored() -> None:
    variables = {"API_TOKEN": "secret", "TF_ENABLE_ONEDNN_OPTS": "0"}
    mine = suite({"a": {"variables": variables}})
    assert mine.environments["a"].variables == variables
    stored = mine.model_dump(mode="json")
    assert stored["environments"]["a"]["variables"] == {**variables, "API_TOKEN": None}
    assert "secret" not in mine.model_dump_json()
    assert first_difference(mine, parse_suite(stored)) is None
    other = suite({"a": {"variables": {**variables, "TF_ENABLE_ONEDNN_OPTS": "1"}}})
    assert first_difference(other, parse_suite(stored)) == (
        "environments.a.variables.TF_ENABLE_ONEDNN_OPTS: '1' here, '0' in the run folder"
    )
