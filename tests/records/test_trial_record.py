"""A record keeps raw values, and derives only values that have a single definition."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bench.records.epoch_record import EpochRecord
from bench.records.measures import Measures
from bench.records.trial_record import FINAL_STATUSES, STATUSES, SUCCESS_STATUSES, TrialRecord
from bench.spec.plan import Trial, make_plan
from bench.spec.suite import parse_suite

ANY_FLOAT = st.floats()
SECONDS = st.floats(0, 1e9)
EPOCHS = st.builds(
    EpochRecord,
    epoch=st.just(0),
    warmup=st.booleans(),
    epoch_s=st.floats(1e-6, 1e9),
    examples=st.integers(1, 10**9),
    steps=st.integers(1, 10**7),
    train_loss=ANY_FLOAT,
    train_accuracy=st.floats(0, 1) | st.just(math.nan),
    val_loss=st.none() | ANY_FLOAT,
    window_s=st.lists(SECONDS, max_size=3).map(tuple),
    skipped_steps=st.none() | st.integers(0, 10),
)


def in_order(epochs: list[EpochRecord]) -> tuple[EpochRecord, ...]:
    return tuple(e.model_copy(update={"epoch": number}) for number, e in enumerate(epochs))


MEASURES = st.builds(
    Measures,
    parameters=st.none() | st.integers(0, 10**12),
    test_loss=st.none() | ANY_FLOAT,
    weights_l2=st.none() | ANY_FLOAT,
    energy_j=st.none() | st.floats(0, 1e9),
    throttled=st.none() | st.booleans(),
)
TEXTS = st.text(st.characters(codec="utf-8"))
RESOLVED = st.dictionaries(
    TEXTS,
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(10**12), 10**12)
        | ANY_FLOAT
        | TEXTS.filter(lambda text: text not in ("NaN", "Infinity", "-Infinity")),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)


def trial(**variant: Any) -> Trial:
    return make_plan(parse_suite({"name": "test", "variant": variant})).trials[0]


def epoch(number: int, epoch_s: float, *, examples: int = 100, **more: Any) -> EpochRecord:
    return EpochRecord(
        **{
            "epoch": number,
            "warmup": number == 0,
            "epoch_s": epoch_s,
            "examples": examples,
            "steps": 10,
            "train_loss": 0.5,
            "train_accuracy": 0.8,
            **more,
        }
    )


def record(*epochs: EpochRecord, **more: Any) -> TrialRecord:
    return TrialRecord(**{"trial": trial(), "status": "completed", "epochs": epochs, **more})


@given(
    st.lists(EPOCHS, max_size=3).map(in_order),
    MEASURES,
    st.sampled_from(STATUSES),
    st.none() | TEXTS,
    RESOLVED,
)
def test_a_record_is_read_back_from_json_unchanged(
    epochs: tuple[EpochRecord, ...],
    measures: Measures,
    status: Any,
    error: str | None,
    resolved: dict[str, Any],
) -> None:
    once = record(*epochs, measures=measures, status=status, error=error, resolved=resolved)
    again = TrialRecord.model_validate_json(once.model_dump_json())
    # NaN is not equal to itself, but is written alike.
    assert repr(again) == repr(once)


def test_settings_that_are_not_finite_are_read_back_as_numbers() -> None:
    once = record(
        resolved={"epsilon": math.inf, "config": {"momentum": -math.inf, "a": [math.nan]}}
    )
    again = TrialRecord.model_validate_json(once.model_dump_json()).resolved
    assert (again["epsilon"], again["config"]["momentum"]) == (math.inf, -math.inf)
    assert math.isnan(again["config"]["a"][0])


def test_the_epoch_time_is_the_median_of_the_steady_epochs() -> None:
    assert record(epoch(0, 9.0), epoch(1, 1.0), epoch(2, 5.0), epoch(3, 2.0)).epoch_s == 2.0
    assert record(epoch(0, 9.0, warmup=False)).epoch_s == 9.0


def test_throughput_is_steady_examples_divided_by_their_time() -> None:
    # The mean of the two rates would be 62.5.
    sample = record(epoch(0, 9.0), epoch(1, 1.0), epoch(2, 4.0))
    assert sample.examples_per_s == 200 / 5.0


def test_warm_up_epochs_are_marked_and_never_dropped() -> None:
    sample = record(epoch(0, 9.0), epoch(1, 1.0))
    assert [e.epoch for e in sample.epochs] == [0, 1]
    assert [e.epoch for e in sample.steady_epochs] == [1]


def test_an_unmeasured_value_is_none_and_never_zero() -> None:
    bare = record(status="failed")
    assert bare.epoch_s is None
    assert bare.examples_per_s is None
    assert bare.time_to_accuracy_s() is None
    assert set(bare.measures.model_dump().values()) == {None}


@pytest.mark.parametrize(
    ("target", "expected"), [(0.8, 3.0), (0.7, 2.0), (0.99, math.inf), (None, None)]
)
def test_time_to_accuracy_is_the_training_time_up_to_the_epoch_that_reached_it(
    target: float | None, expected: float | None
) -> None:
    settings = {} if target is None else {"target_accuracy": target}
    sample = record(
        epoch(0, 2.0, val_accuracy=0.7, evaluate_s=50.0),
        epoch(1, 1.0, val_accuracy=0.8),
        epoch(2, 4.0, val_accuracy=0.85),
        trial=trial(**settings),
    )
    assert sample.time_to_accuracy_s() == expected
    assert sample.time_to_accuracy_with_cold_start_s() is None
    started = sample.model_copy(update={"measures": Measures(cold_start_s=1.5)})
    with_it = started.time_to_accuracy_with_cold_start_s()
    assert with_it == (None if expected is None else expected + 1.5)


def test_final_statuses_are_kept_and_others_retried() -> None:
    assert {"completed", "diverged", "unsupported"} == SUCCESS_STATUSES
    assert {"out_of_memory"} == FINAL_STATUSES - SUCCESS_STATUSES
    assert set(STATUSES) - FINAL_STATUSES == {"failed", "timed_out", "worker_lost", "interrupted"}


def test_a_record_is_immutable_and_has_a_known_status() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        record().status = "failed"  # type: ignore[misc]
    with pytest.raises(ValidationError, match="status"):
        record(status="fine")
