"""What Ray keeps on disk, as another user of the machine finds it."""

import os
import pwd
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from bench.errors import ResourceError
from bench.execution.ray_backend.local.private_ray_files import (
    PREFIX,
    RANDOM_LETTERS,
    NotStartedError,
    make_ray_folder,
    make_token,
    protect_token,
    ray_folder,
    remove_ray_folder,
)


@pytest.fixture(autouse=True)
def careless() -> Iterator[None]:
    """A user whose files are open to all unless a program says otherwise."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where Ray looks for it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path / ".ray" / "auth_token"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_ray_folder_is_new_each_time_and_its_user_s_alone(tmp_path: Path) -> None:
    one, two = make_ray_folder(tmp_path), make_ray_folder(tmp_path)
    assert one != two
    assert one.parent == two.parent == tmp_path
    assert mode(one) == 0o700
    assert len(one.name) == len(PREFIX) + RANDOM_LETTERS


def test_a_ray_folder_goes_with_its_block_unless_its_logs_say_why_ray_did_not_start(
    tmp_path: Path,
) -> None:
    with pytest.raises(KeyboardInterrupt), ray_folder(tmp_path) as folder:
        (folder / "ray").mkdir()
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ResourceError), ray_folder(tmp_path):
        raise ResourceError("by hand")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(NotStartedError), ray_folder(tmp_path) as folder:
        raise NotStartedError("by hand")
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize(
    "name", ["ray", "ray-", "ray-short", "ray-too-long-a-name", "abc-12345678"]
)
def test_only_what_is_named_as_a_ray_folder_is_removed(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    remove_ray_folder(tmp_path / name)
    assert (tmp_path / name).is_dir()


def test_neither_a_link_nor_a_file_is_removed_nor_what_is_behind_a_link(tmp_path: Path) -> None:
    behind, link, file = tmp_path / "behind", tmp_path / "ray-linklink", tmp_path / "ray-filefile"
    (behind / "kept").mkdir(parents=True)
    link.symlink_to(behind)
    file.touch()
    for path in (link, file, tmp_path / "ray-nowhere1"):
        remove_ray_folder(path)
    assert (link / "kept").is_dir()
    assert file.is_file()
    folder = make_ray_folder(tmp_path)
    (folder / "link").symlink_to(behind)
    remove_ray_folder(folder)
    assert not folder.exists()
    assert (behind / "kept").is_dir()


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to give a folder to another user")
def test_another_user_s_folder_is_not_removed(tmp_path: Path) -> None:
    folder = make_ray_folder(tmp_path)
    os.chown(folder, 65534, -1)
    remove_ray_folder(folder)
    assert folder.is_dir()


def test_a_token_is_made_once_and_read_by_its_user_alone(token: Path) -> None:
    make_token()
    made = token.read_text()
    assert len(made) == 64
    assert (mode(token.parent), mode(token)) == (0o700, 0o600)
    make_token()
    assert token.read_text() == made
    assert list(token.parent.iterdir()) == [token]


def test_a_token_that_others_could_read_is_kept_and_closed_to_them(token: Path) -> None:
    token.parent.mkdir()
    token.write_text("ab" * 32)
    assert mode(token) == 0o666
    make_token()
    assert token.read_text() == "ab" * 32
    assert (mode(token.parent), mode(token)) == (0o700, 0o600)


def test_a_local_start_makes_no_token_and_closes_the_one_there_is(token: Path) -> None:
    protect_token()
    assert not token.parent.exists()
    token.parent.mkdir()
    token.write_text("ab" * 32)
    protect_token()
    assert (mode(token.parent), mode(token)) == (0o700, 0o600)


@pytest.mark.parametrize("protect", [protect_token, make_token])
def test_a_user_without_a_home_is_told_to_set_one(
    protect: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", _no_such_user)
    with pytest.raises(ResourceError, match="HOME"):
        protect()


def _no_such_user(uid: int) -> NoReturn:
    raise KeyError(uid)


def test_a_home_that_cannot_be_written_to_is_told_of(token: Path) -> None:
    token.parent.write_text("in the way")
    with pytest.raises(ResourceError, match="token"):
        make_token()
