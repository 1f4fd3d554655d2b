"""Errors in a document are explained in plain words."""

from typing import Any

import pytest
from pydantic import ValidationError

from bench.records.trial_record import TrialRecord
from bench.spec.axis_validation import check_setting
from bench.spec.error_text import error_text, location_text, value_text
from bench.spec.plan import make_plan
from bench.spec.suite import parse_suite
from tests.support.sample_records import NORMS, make_record


def problem(path: tuple[str | int, ...], value: Any) -> str:
    """Return the error of a record in which the value at ``path`` is ``value``."""
    trial = make_plan(parse_suite(NORMS)).trials[0]
    record = make_record(trial).model_dump(mode="json")
    inner: Any = record
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    with pytest.raises(ValidationError) as raised:
        TrialRecord.model_validate(record)
    return error_text(raised.value.errors()[0])


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("epochs",), 5, "epochs cannot be 5: it should be a list"),
        (("devices",), 5, "devices cannot be 5: it should be a list"),
        (("epochs", 0, "window_s"), 5, "epochs[0].window_s cannot be 5: it should be a list"),
        (("trial", "variant"), 5, "trial.variant cannot be 5: it should be a table"),
        (
            ("trial", "variant", "epochs"),
            "5",
            "trial.variant.epochs cannot be '5': it should be a whole number",
        ),
        (
            ("trial", "variant", "warmup_epochs"),
            5,
            "trial.variant: warmup_epochs 5 must be below epochs 3: lower it, or raise epochs",
        ),
        (
            ("trial", "variant", "nrm"),
            "none",
            "trial.variant.nrm cannot be 'none': it should not be there",
        ),
        (
            ("measures", "throttled"),
            "x",
            "measures.throttled cannot be 'x': it should be true or false",
        ),
        (
            ("measures", "parameters"),
            "x",
            "measures.parameters cannot be 'x': it should be a whole number",
        ),
        (("measures", "mfu"), "x", "measures.mfu cannot be 'x': it should be a number"),
    ],
)
def test_an_error_in_a_record_names_its_location_and_what_should_be_there(
    path: tuple[str | int, ...], value: Any, message: str
) -> None:
    assert problem(path, value) == message


def test_the_error_for_an_axis_of_lists_has_an_example() -> None:
    with pytest.raises(ValueError, match=r"hidden cannot be 5: it should be a list of whole num"):
        check_setting("hidden", 5)


def test_locations_and_values_are_written_as_in_the_document() -> None:
    assert location_text(("compare", 0, "axis")) == "compare[0].axis"
    assert [value_text(v) for v in (True, [1, "a"], {"a": 1})] == ["true", "[1, 'a']", "a table"]
