"""Finished epochs beside a worker's log: whole ones are kept, in order, from this user alone."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.execution.ray_backend.workers.epoch_log import (
    append_epoch,
    epoch_lines,
    remove_epochs,
    with_lines,
)
from bench.records.epoch_record import EpochRecord


def epoch(number: int) -> EpochRecord:
    return EpochRecord(
        epoch=number,
        warmup=number == 0,
        epoch_s=1.0,
        examples=8,
        steps=1,
        train_loss=0.5,
        train_accuracy=None,
    )


LINES = [epoch(number).model_dump_json() for number in range(4)]


@given(st.integers(0, 4), st.integers(0, sum(map(len, LINES)) + 4))
def test_logged_epochs_extend_reported_ones_up_to_the_last_complete_line(
    told: int, cut: int
) -> None:
    written = "".join(line + "\n" for line in LINES)[:cut]
    whole = sum(written.startswith("\n".join(LINES[: n + 1])) for n in range(4))
    found = with_lines([epoch(n) for n in range(told)], written.splitlines())
    assert [e.epoch for e in found] == list(range(max(told, whole)))


def test_appended_epochs_are_read_until_they_are_removed(tmp_path: Path) -> None:
    log = str(tmp_path / "worker.log")
    assert epoch_lines(log) == ()
    for number in range(3):
        append_epoch(log, epoch(number))
    assert [e.epoch for e in with_lines((), epoch_lines(log))] == [0, 1, 2]
    assert (tmp_path / "worker.epochs").stat().st_mode & 0o077 == 0
    remove_epochs(log)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.timeout(60)
def test_a_link_or_a_pipe_in_its_place_is_neither_read_nor_written(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "worker.epochs"
    target.write_text(LINES[0] + "\n")
    link.symlink_to(target)
    append_epoch(str(tmp_path / "worker.log"), epoch(1))
    assert target.read_text() == LINES[0] + "\n"
    assert epoch_lines(str(tmp_path / "worker.log")) == ()
    link.unlink()
    os.mkfifo(link)
    append_epoch(str(tmp_path / "worker.log"), epoch(1))
    assert epoch_lines(str(tmp_path / "worker.log")) == ()
    reader = os.open(link, os.O_RDONLY | os.O_NONBLOCK)
    append_epoch(str(tmp_path / "worker.log"), epoch(1))
    assert os.read(reader, 1) == b""
    os.close(reader)
    link.unlink()
    os.link(target, link)
    append_epoch(str(tmp_path / "worker.log"), epoch(1))
    assert target.read_text() == LINES[0] + "\n"
    assert epoch_lines(str(tmp_path / "worker.log")) == ()
