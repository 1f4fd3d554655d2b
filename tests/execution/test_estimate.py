"""The guess of a trial's time: right in its order, if not in its size."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.execution.estimate import START_S, estimated_epoch_s, estimated_trial_s
from bench.spec.defaults import fill_defaults
from bench.spec.variant import Variant


def variant(**asked: Any) -> Variant:
    return Variant.model_validate(fill_defaults(asked))


@given(st.lists(st.integers(1, 500), max_size=4), st.integers(1, 500))
def test_one_layer_more_takes_longer(hidden: list[int], width: int) -> None:
    smaller, larger = variant(hidden=hidden), variant(hidden=[*hidden, 785 + width])
    assert estimated_epoch_s(larger) > estimated_epoch_s(smaller)


@given(st.integers(1, 50), st.integers(1, 50))
def test_epochs_add_up_on_top_of_the_start(few: int, more: int) -> None:
    each = estimated_epoch_s(variant())
    assert estimated_trial_s(variant(epochs=few)) == pytest.approx(START_S + few * each)
    assert estimated_trial_s(variant(epochs=few + more)) > estimated_trial_s(variant(epochs=few))


@pytest.mark.parametrize(
    "slower",
    [
        {"norm": "bn_post"},
        {"global_batch_size": 8},
        {"examples": 550_000},
        {"workload": "convnet"},
    ],
)
def test_what_takes_longer_is_guessed_longer(slower: dict[str, Any]) -> None:
    assert estimated_epoch_s(variant(**slower)) > estimated_epoch_s(variant())


def test_several_devices_share_the_work() -> None:
    pair = variant(strategy="mirrored", replicas=2, global_batch_size=32)
    assert estimated_epoch_s(pair) < estimated_epoch_s(variant(global_batch_size=32))
