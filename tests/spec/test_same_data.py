"""Arms that are compared train on the same data."""

from typing import Any

import pytest

from bench.errors import SuiteError
from bench.spec.plan import make_plan, plan_anywhere
from bench.spec.suite import parse_suite
from tests.support.sample_suites import TINY


def compared(axis: str, baseline: Any, values: list[Any]) -> dict[str, Any]:
    compare = [{"axis": axis, "baseline": baseline}]
    return {**TINY, "matrix": {axis: values}, "compare": compare}


@pytest.mark.parametrize(
    ("axis", "baseline", "other"),
    [("dataset", "synthetic", "fashion_mnist"), ("shape", [4, 4, 1], [8, 8, 1]), ("classes", 2, 4)],
)
def test_a_comparison_of_data_is_refused_in_one_line(axis: str, baseline: Any, other: Any) -> None:
    suite = parse_suite(compared(axis, baseline, [baseline, other]), "tiny.toml")
    with pytest.raises(SuiteError, match=rf"^tiny\.toml: compare: {axis} is ") as refused:
        plan_anywhere(suite)
    assert refused.value.exit_code == 2
    assert f"give both one {axis}, or drop the comparison" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_labelled_arms_with_different_data_are_refused() -> None:
    variants = [{"label": "small"}, {"label": "large", "shape": [8, 8, 1], "norm": "bn_post"}]
    compare = [{"axis": "label", "baseline": "small"}]
    suite = parse_suite({**TINY, "matrix": {}, "variants": variants, "compare": compare})
    with pytest.raises(SuiteError, match=r"'large' and .* in its baseline 'small'"):
        make_plan(suite)


@pytest.mark.parametrize(
    ("axis", "baseline", "other"),
    [
        ("examples", 256, 512),
        ("augment", "never", "always"),
        ("inputs", "unit", "standardized"),
        ("pipeline", "device", "tfdata"),
        ("global_batch_size", 8, 16),
    ],
)
def test_sizes_and_what_training_does_to_the_data_are_compared(
    axis: str, baseline: Any, other: Any
) -> None:
    plan = make_plan(parse_suite(compared(axis, baseline, [baseline, other])))
    assert [pair.axis for pair in plan.pairs] == [axis]


def test_each_data_set_of_a_matrix_has_arms_of_its_own() -> None:
    matrix = {**TINY["matrix"], "shape": [[4, 4, 1], [8, 8, 1]]}
    assert len(make_plan(parse_suite({**TINY, "matrix": matrix})).pairs) == 2


def test_real_data_have_one_shape_whatever_a_suite_sets() -> None:
    real = {"dataset": "fashion_mnist", "examples": 256}
    variants = [{"label": "a", "shape": [8, 8, 1]}, {"label": "b", "norm": "bn_post"}]
    compare = [{"axis": "label", "baseline": "a"}]
    tables = {"variant": real, "matrix": {}, "variants": variants, "compare": compare}
    assert len(make_plan(parse_suite({**TINY, **tables})).pairs) == 1
