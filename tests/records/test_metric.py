"""Each metric has a unit, a direction and a precision, and is recorded."""

import pytest

from bench.records.epoch_record import EpochRecord
from bench.records.measures import Measures
from bench.records.metric import METRICS, Metric
from bench.records.trial_record import TrialRecord

UNITS = {"_per_s": "examples/s", "_s": "s", "_bytes": "B", "_j": "J", "_w": "W"}
"""By suffix of the name, the longest first."""

METRIC = pytest.mark.parametrize("metric", METRICS.values(), ids=list(METRICS))


@METRIC
def test_the_unit_agrees_with_the_name(metric: Metric) -> None:
    ending = next((e for e in UNITS if metric.name.endswith(e)), "")
    assert metric.unit == UNITS.get(ending, "")


@METRIC
def test_every_metric_is_recorded(metric: Metric) -> None:
    recorded = {*Measures.model_fields, *EpochRecord.model_fields, *dir(TrialRecord)}
    assert metric.name in recorded


@METRIC
def test_every_metric_has_digits_and_a_title(metric: Metric) -> None:
    assert 1 <= metric.digits <= 9
    assert metric.title[0].isupper()


def test_names_and_titles_are_unique() -> None:
    assert [m.name for m in METRICS.values()] == list(METRICS)
    assert len({m.title for m in METRICS.values()}) == len(METRICS)


def test_shorter_times_and_higher_accuracies_are_better() -> None:
    assert METRICS["epoch_s"].better == "lower"
    assert METRICS["examples_per_s"].better == "higher"
    assert METRICS["test_accuracy"].better == "higher"
    assert METRICS["parameters"].better == "neither"
