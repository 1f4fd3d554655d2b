"""Messages arrive as they were sent, and what is no message is refused by name."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.protocol import messages
from bench.protocol.messages import (
    PROTOCOL,
    DataLayout,
    EpochTrained,
    MessageError,
    StartTrial,
    TrialEnd,
    Turn,
    TurnEnd,
    decode,
    encode,
)
from bench.records.epoch_record import EpochRecord
from bench.records.trial_record import TrialRecord
from tests.support.sample_trials import trial_labelled

LAYOUT = DataLayout(arrays={}, classes=10, real=True)


def line_of(**fields: Any) -> bytes:
    return json.dumps({"protocol": PROTOCOL, **fields}).encode()


@given(st.none() | st.integers(0, 10**6), st.integers(0, 10**6), st.floats(0.0, 1.0))
def test_a_message_arrives_as_it_was_sent(number: int | None, epoch: int, share: float) -> None:
    turn = Turn(round=number, epoch=epoch, until_share=share)
    end = TurnEnd(epoch=epoch, share=share, windows=8)
    assert [decode(encode(turn)), decode(encode(end))] == [turn, end]


@given(st.text(), st.dictionaries(st.text(), st.none() | st.text()))
def test_texts_arrive_on_one_line(label: str, variables: dict[str, str | None]) -> None:
    start = StartTrial(trial=trial_labelled(label), data=LAYOUT, threads=1, variables=variables)
    line = encode(start)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert decode(line) == start


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf, 0.25])
def test_records_keep_losses_that_are_not_finite(loss: float) -> None:
    epoch = EpochRecord(
        epoch=0,
        warmup=False,
        epoch_s=1.0,
        examples=32,
        steps=1,
        train_loss=loss,
        train_accuracy=None,
    )
    record = TrialRecord(trial=trial_labelled("a"), status="diverged", epochs=(epoch,))
    for message in (EpochTrained(record=epoch), TrialEnd(record=record)):
        assert repr(decode(encode(message))) == repr(message)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"rubbish", "invalid JSON: 'rubbish'"),
        (b"\xff\xfe", "invalid JSON"),
        (b"", "invalid JSON"),
        (b"[" * 100_000, "invalid JSON"),
        (b"[1]", "not a JSON object"),
        (b"{}", "protocol None, but this process speaks 2"),
        (b'{"protocol":9,"type":"Turn"}', "protocol 9, but this process speaks 2"),
        (line_of(type="Dance"), "unknown type 'Dance'"),
        (line_of(type=["Turn"]), "unknown type"),
        (line_of(), "unknown type None"),
        (line_of(type="Turn", round=0, epoch=0), "Turn with until_share: Field required"),
        (line_of(type="Turn", round=0, epoch=0, until_share=1.5), "Turn with until_share"),
        (line_of(type="HeartbeatCount", count=1, more=2), "HeartbeatCount with more"),
        (line_of(type="HeartbeatCount", count=-1), "HeartbeatCount with count"),
    ],
)
def test_what_is_no_message_is_refused_by_name(line: bytes, words: str) -> None:
    with pytest.raises(MessageError) as refused:
        decode(line)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 300


@given(st.binary(max_size=200))
def test_no_bytes_cause_another_error(line: bytes) -> None:
    with pytest.raises(MessageError):
        decode(line)


def test_a_message_too_long_to_receive_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "MAX_LINE_BYTES", 20)
    with pytest.raises(MessageError, match="20 is the most"):
        encode(Turn(round=0, epoch=0, until_share=1.0))
