"""A file is read completely or refused at once; pipes and devices never block a read."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.files.bounded_reading import MiB, UnsafeFileError, open_at, read_at, read_file
from tests.support.other_users import KINDS, SPECIAL, plant

# A read that waits is ended, and fails.
pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def handle(tmp_path: Path) -> Iterator[int]:
    opened = os.open(tmp_path, os.O_RDONLY)
    yield opened
    os.close(opened)


@pytest.mark.parametrize("size", [0, 1, 100_000, 3 * MiB])
def test_a_regular_file_is_read_completely(tmp_path: Path, handle: int, size: int) -> None:
    content = os.urandom(size)
    (tmp_path / "file").write_bytes(content)
    assert read_file(tmp_path / "file", size) == content
    assert read_at(handle, "file", size) == content
    with open_at(handle, "file", size) as file:
        assert file.read() == content


@pytest.mark.parametrize("kind", [*SPECIAL, "link to a device", "huge"])
def test_special_files_are_refused(tmp_path: Path, kind: str) -> None:
    plant(kind, tmp_path / "file")
    with pytest.raises(UnsafeFileError):
        read_file(tmp_path / "file", 100 * MiB)


@pytest.mark.parametrize("kind", KINDS)
def test_a_link_in_a_folder_is_refused(tmp_path: Path, handle: int, kind: str) -> None:
    plant(kind, tmp_path / "file")
    expected = IsADirectoryError if kind == "folder" else UnsafeFileError
    with pytest.raises(expected):
        read_at(handle, "file", 100 * MiB)
    with pytest.raises(expected):
        open_at(handle, "file", 100 * MiB)


def test_a_link_that_the_user_names_is_followed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    (tmp_path / "link").symlink_to("file")
    assert read_file(tmp_path / "link", 4) == b"mine"


def test_one_byte_too_many_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(101))
    assert len(read_file(tmp_path / "file", 101)) == 101
    with pytest.raises(UnsafeFileError, match="larger than 100 bytes"):
        read_file(tmp_path / "file", 100)


@pytest.mark.parametrize("most", [64, 10 * MiB])
def test_a_file_without_a_meaningful_size_is_limited_too(most: int) -> None:
    """Files in /proc report a size of 0, whatever their content."""
    path = Path("/proc/self/maps")
    if most == 64:
        with pytest.raises(UnsafeFileError):
            read_file(path, most)
    else:
        assert b"[stack]" in read_file(path, most)


def test_a_long_file_takes_no_more_calls_than_a_short_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Joining parts one by one would copy the content once per part."""
    calls = 0
    real = os.read

    def count_and_read(handle: int, size: int) -> bytes:
        nonlocal calls
        calls += 1
        return real(handle, size)

    monkeypatch.setattr(os, "read", count_and_read)
    (tmp_path / "file").write_bytes(bytes(20 * MiB))
    assert len(read_file(tmp_path / "file", 20 * MiB)) == 20 * MiB
    assert calls == 1
