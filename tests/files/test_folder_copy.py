"""A copied folder has what was in the other, and nothing behind its links."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.files.folder_copy import copy_folder
from bench.files.reading import UnsafeFileError


@pytest.fixture
def handles(tmp_path: Path) -> Iterator[tuple[int, int]]:
    """Of the folders ``from``, with a folder ``it`` in it, and ``to``."""
    for name in ("from/it", "to"):
        (tmp_path / name).mkdir(parents=True)
    source, target = (os.open(tmp_path / name, os.O_RDONLY) for name in ("from", "to"))
    yield source, target
    os.close(source)
    os.close(target)


def test_files_folders_and_links_are_copied(handles: tuple[int, int], tmp_path: Path) -> None:
    (tmp_path / "from/it/inner").mkdir()
    (tmp_path / "from/it/inner/file").write_bytes(b"text")
    (tmp_path / "from/it/inner/file").chmod(0o400)
    (tmp_path / "from/it/link").symlink_to("/etc/passwd")
    copy_folder(handles[0], "it", handles[1])
    copied = tmp_path / "to/it/inner/file"
    assert (copied.read_bytes(), copied.stat().st_mode & 0o777) == (b"text", 0o400)
    assert (tmp_path / "to/it/link").readlink() == Path("/etc/passwd")


@pytest.mark.timeout(10)
def test_a_pipe_is_refused_not_waited_for(handles: tuple[int, int], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "from/it/pipe")
    with pytest.raises(UnsafeFileError):
        copy_folder(handles[0], "it", handles[1])
