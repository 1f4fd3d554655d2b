"""An error of the system is reported with the disk, the folder or the name at fault."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.files.disk_space import full_disks, mount_point, storage_problem

SHARED_MEMORY = Path("/dev/shm")


def problem(path: Path, number: int, needed_bytes: int | None = None) -> str:
    return storage_problem(path, OSError(number, os.strerror(number)), needed_bytes)


def real_refusal(work: Callable[[], object], path: Path) -> str:
    with pytest.raises(OSError) as error:
        work()
    return storage_problem(path, error.value)


def test_a_disk_is_named_by_its_mount_point_even_for_a_missing_path(tmp_path: Path) -> None:
    assert mount_point(SHARED_MEMORY / "a/b/c") == SHARED_MEMORY
    (tmp_path / "link").symlink_to(SHARED_MEMORY)
    assert mount_point(tmp_path / "link" / "run") == SHARED_MEMORY


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_named_with_its_free_and_the_needed_space(number: int) -> None:
    message = problem(SHARED_MEMORY / "run/run.json", number, 4321)
    assert message.startswith(f"{SHARED_MEMORY}/run/run.json: ")
    assert f"the disk at {SHARED_MEMORY} (" in message
    assert "4321" in message


def test_a_read_only_disk_is_named() -> None:
    assert f"the disk at {SHARED_MEMORY} writable" in problem(SHARED_MEMORY / "run", errno.EROFS)


def test_a_folder_that_cannot_be_entered_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "closed/inner").mkdir(parents=True)
    # Root may enter any folder, so that no real one refuses it.
    monkeypatch.setattr(os, "access", lambda folder, _: folder != tmp_path / "closed")
    path = tmp_path / "closed/inner/run/run.json"
    assert f"make the folder {tmp_path / 'closed'} writable" in problem(path, errno.EACCES)


def test_the_nearest_folder_is_named_if_it_is_not_writable(tmp_path: Path) -> None:
    assert f"make the folder {tmp_path} writable" in problem(tmp_path / "a/b", errno.EACCES)


def test_a_file_in_place_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "run" / "trials"
    assert f"{tmp_path / 'file'} is not a folder" in real_refusal(path.mkdir, path)


@pytest.mark.parametrize("letter", ["n", "ü"])
def test_a_name_that_is_too_long_is_shortened(tmp_path: Path, letter: str) -> None:
    path = tmp_path / (letter * 300) / "trials"
    message = real_refusal(path.mkdir, path)
    assert f"{300 * len(letter.encode())} bytes" in message


def test_almost_full_disks_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert full_disks([SHARED_MEMORY]) == []
    empty = os.statvfs_result((4096, 4096, 100, 0, 0, 100, 9, 9, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda _: empty)
    assert full_disks([SHARED_MEMORY, SHARED_MEMORY / "run"]) == [SHARED_MEMORY]
