"""What several workers say, put together: when are they in agreement?"""

from types import SimpleNamespace
from typing import Any

import pytest

from bench.execution.verdict import together
from bench.records.record import TrialRecord
from bench.spec.plan import make_plan
from tests.records_made import made_record
from tests.suites_made import SINGLE, suite_of


def record_of(weights_l2: float, **settings: Any) -> TrialRecord:
    suite = suite_of(SINGLE, strategy="multi_worker", workers=2, **settings)
    record = made_record(make_plan(suite).trials[0])
    measures = record.measures.model_copy(update={"weights_l2": weights_l2})
    return record.model_copy(update={"measures": measures})


def said(*records: TrialRecord) -> TrialRecord:
    gang: Any = SimpleNamespace(records=dict(enumerate(records)))
    return together(gang)


def test_workers_that_end_with_different_weights_have_failed() -> None:
    found = said(record_of(12.5), record_of(12.75))
    assert found.status == "failed"
    assert found.error is not None
    assert "12.5" in found.error and "12.75" in found.error


@pytest.mark.parametrize("second", [12.5, 12.75])
def test_workers_that_do_not_communicate_may_drift_apart(second: float) -> None:
    found = said(record_of(12.5, communication="none"), record_of(second, communication="none"))
    assert (found.status, found.measures.weights_l2) == ("completed", 12.5)
