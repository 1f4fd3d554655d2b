"""A value of an axis is returned in its canonical form, or refused with a helpful message."""

import datetime
from typing import Any

import pytest

from bench.spec.axes import AXES
from bench.spec.axis_validation import check_key, check_setting, is_list_axis


@pytest.mark.parametrize(
    ("key", "value", "held"),
    [
        ("norm", "bn_post", "bn_post"),
        ("hidden", [300, 100], (300, 100)),
        ("hidden", [], ()),
        ("learning_rate", 1, 1.0),
        ("per_replica_batch_size", 16, 16),
        ("synchronized", False, False),
        ("target_accuracy", 0.9, 0.9),
    ],
)
def test_a_valid_value_is_returned_as_a_variant_holds_it(key: str, value: Any, held: Any) -> None:
    checked = check_setting(key, value)
    assert checked == held
    assert type(checked) is type(held)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("norm", "bn_pst", "norm cannot be 'bn_pst': did you mean 'bn_post'?"),
        ("strategy", 3, "strategy cannot be 3: use one of one_device, mirrored, multi_worker"),
        ("jit", True, "jit cannot be true: use one of none, step, epoch"),
        ("epochs", 0, "epochs cannot be 0: it should be 1 or more"),
        ("epochs", 2.5, "epochs cannot be 2.5: it should be a whole number"),
        ("epochs", True, "epochs cannot be true: it should be a whole number"),
        ("epochs", "3", "epochs cannot be '3': it should be a whole number, without quotes"),
        ("epochs", "two", "epochs cannot be 'two': it should be a whole number"),
        ("per_replica_batch_size", -1, "per_replica_batch_size cannot be -1: it should be 1 or"),
        ("hidden", 300, "hidden cannot be 300: it should be a list of whole numbers"),
        ("hidden", [300, 0], "hidden cannot be [300, 0]: it should be 1 or more"),
        ("shape", [28, 28], "shape cannot be [28, 28]: it should have 3 numbers"),
        ("shape", [1, 2, 3, 4], "shape cannot be [1, 2, 3, 4]: it should have 3 numbers"),
        ("learning_rate", 0, "learning_rate cannot be 0: it should be above 0"),
        ("learning_rate", float("inf"), "learning_rate cannot be inf: it should be a finite num"),
        ("learning_rate", float("nan"), "learning_rate cannot be nan: it should be"),
        ("target_accuracy", 1.5, "target_accuracy cannot be 1.5: it should be 1.0 or less"),
        ("synchronized", 1, "synchronized cannot be 1: it should be true or false"),
        ("norm", {"kind": "bn"}, "norm cannot be a table: use one of none, bn_post"),
        (
            "epochs",
            datetime.date(2026, 1, 1),
            "epochs cannot be the date or time 2026-01-01: it should be a whole number",
        ),
    ],
)
def test_an_invalid_value_is_refused_with_the_valid_ones(
    key: str, value: Any, message: str
) -> None:
    with pytest.raises(ValueError, match="cannot be") as raised:
        check_setting(key, value)
    assert str(raised.value).startswith(message)


def test_an_unknown_key_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"unknown key 'optimiser': did you mean 'optimizer'\?"):
        check_setting("optimiser", "sgd")
    with pytest.raises(ValueError, match="unknown key 'zzz': use one of a, b"):
        check_key("zzz", ["a", "b"])


def test_a_value_of_another_axis_is_refused_with_that_axis() -> None:
    with pytest.raises(ValueError, match=r"'relu': it is a value of activation: use one of none,"):
        check_setting("norm", "relu")
    with pytest.raises(ValueError, match='a value of optimizer: write optimizer = "momentum"'):
        check_key("momentum", AXES)


def test_several_values_of_an_axis_differ_from_one_value_that_is_a_list() -> None:
    assert not is_list_axis("hidden", [300, 100])
    assert is_list_axis("hidden", [[300, 100], [50]])
    assert is_list_axis("norm", ["none"])
    assert not is_list_axis("norm", "none")
    assert is_list_axis("per_replica_batch_size", [16, 32])
