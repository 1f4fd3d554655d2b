"""The record of an epoch: values for each of its windows."""

from typing import Any

import pytest
from pydantic import ValidationError

from bench.records.epoch_record import PER_WINDOW, EpochRecord

EPOCH: dict[str, Any] = {
    "epoch": 0,
    "warmup": False,
    "epoch_s": 3.0,
    "examples": 64,
    "steps": 2,
    "train_loss": 0.5,
    "train_accuracy": 0.5,
    "window_s": [1.0, 2.0],
}
"""As an earlier version wrote it."""


def test_an_earlier_record_has_null_for_what_it_did_not_measure() -> None:
    epoch = EpochRecord.model_validate(EPOCH)
    assert epoch.window_s == (1.0, 2.0)
    assert [getattr(epoch, name) for name in PER_WINDOW[1:]] == [None] * 4


def test_the_values_of_windows_are_read_as_they_were_written() -> None:
    values = {
        "window_start_s": (10.5, 11.5),
        "window_round": (0, 3),
        "window_cpu_s": (0.75, 2.25),
        "window_involuntary_switches": (0, 7),
    }
    epoch = EpochRecord.model_validate({**EPOCH, **values})
    again = EpochRecord.model_validate_json(epoch.model_dump_json())
    assert again == epoch
    assert {name: getattr(again, name) for name in values} == values


@pytest.mark.parametrize("name", PER_WINDOW[1:])
def test_a_list_without_a_value_for_each_window_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match=f"{name} cannot have 1 values: window_s has 2"):
        EpochRecord.model_validate({**EPOCH, name: [1]})
