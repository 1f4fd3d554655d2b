"""A worker's log as it is read after its end, in a folder where others may have changed it."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.execution.ray_backend.workers.worker_log import take_worker_log
from bench.files.log_tail import TAIL_BYTES

SECRET = "a private file"


def link(log: Path, private: Path) -> None:
    log.symlink_to(private)


def hard_link(log: Path, private: Path) -> None:
    log.hardlink_to(private)


def fifo(log: Path, _private: Path) -> None:
    os.mkfifo(log)


def device(log: Path, _private: Path) -> None:
    log.symlink_to("/dev/zero")


def folder(log: Path, _private: Path) -> None:
    log.mkdir()


def of_another_user(log: Path, _private: Path) -> None:
    log.write_text(SECRET)
    try:
        os.chown(log, 65534, 65534)
    except PermissionError:
        pytest.skip("to give a file away needs root")


@pytest.mark.parametrize("put", [link, hard_link, fifo, device, folder, of_another_user])
def test_nothing_but_the_worker_s_own_log_is_read(
    tmp_path: Path, put: Callable[[Path, Path], None]
) -> None:
    log, private = tmp_path / "bench-worker-x.log", tmp_path / "private"
    private.write_text(SECRET)
    put(log, private)
    assert take_worker_log(str(log)).log_tail is None
    assert private.read_text() == SECRET


def test_of_a_log_of_any_size_the_end_alone_is_read(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    with log.open("wb") as file:
        file.seek(2**40)  # a terabyte, of which the disk holds one block
        file.write(b"x" * TAIL_BYTES + b"the end")
    tail = take_worker_log(str(log)).log_tail or ""
    assert len(tail) == TAIL_BYTES
    assert tail.endswith("the end")
    assert not log.exists()
