"""Groups have at least 8 values; older records may have had other groups."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.spec.defaults import fill_defaults
from bench.spec.norm_groups import group_count, had_other_groups, normed_shapes
from bench.spec.variant import Variant


def variant(**settings: Any) -> Variant:
    return Variant.model_validate(fill_defaults(settings))


@given(st.lists(st.integers(1, 4), max_size=2), st.integers(1, 5000))
def test_there_are_as_many_groups_up_to_32_as_divide_the_channels_and_have_8_values(
    positions: list[int], channels: int
) -> None:
    shape = (*positions, channels)
    groups = group_count(shape)

    def fits(count: int) -> bool:
        return channels % count == 0 and math.prod(shape) >= 8 * count

    assert fits(groups) or (groups == 1 and math.prod(shape) < 8)
    assert groups <= 32
    assert not any(fits(more) for more in range(groups + 1, 33))


def test_the_input_and_each_hidden_layer_are_normalized() -> None:
    image = {"dataset": "synthetic", "shape": [5, 4, 3], "hidden": [9], "depth": 2}
    assert list(normed_shapes(variant(**image))) == [
        ("shape", (60,)),
        ("hidden", (9,)),
        ("hidden", (9,)),
    ]
    assert list(normed_shapes(variant(**image, workload="convnet", filters=[6, 7]))) == [
        ("shape", (5, 4, 3)),
        ("filters", (5, 4, 6)),
        ("filters", (3, 2, 7)),
        ("hidden", (9,)),
        ("hidden", (9,)),
    ]
    assert next(normed_shapes(variant())) == ("shape", (784,))
    assert list(normed_shapes(variant(workload="resnet50"))) == []


@pytest.mark.parametrize(
    ("settings", "otherwise"),
    [
        ({"norm": "none", "workload": "convnet"}, False),
        ({"norm": "bn_pre", "hidden": [16]}, False),
        ({"norm": "layer"}, False),
        ({"norm": "layer", "workload": "convnet"}, True),
        ({"norm": "layer", "workload": "resnet50"}, True),
        ({"norm": "group", "hidden": [300, 256]}, False),
        ({"norm": "group", "hidden": [300, 32]}, True),
        ({"norm": "group", "hidden": [300, 100]}, True),
        ({"norm": "group", "workload": "convnet", "hidden": [256]}, False),
        ({"norm": "group", "workload": "resnet50"}, False),
        ({"norm": "group", "workload": "mine:net"}, True),
    ],
    ids=str,
)
def test_an_older_record_of_layer_or_group_norm_may_have_had_other_groups(
    settings: dict[str, Any], otherwise: bool
) -> None:
    assert had_other_groups(variant(**settings)) == otherwise
