"""What Ray keeps on disk, as another user of the machine finds it."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.errors import ResourceError
from bench.execution.ray_files import make_ray_folder, protect_token


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


def test_a_ray_folder_is_new_each_time_and_its_user_s_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "t").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAY_TMPDIR", "t")
    one, two = make_ray_folder(), make_ray_folder()
    assert one != two
    assert one.parent == two.parent == tmp_path / "t"
    assert mode(one) == 0o700


def test_where_a_socket_s_path_would_be_too_long_the_system_s_folder_is_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    long = tmp_path / ("x" * 60)
    long.mkdir()
    monkeypatch.setenv("RAY_TMPDIR", str(long))
    folder = make_ray_folder()
    assert folder.parent == Path("/tmp")
    folder.rmdir()


def test_a_folder_that_cannot_be_made_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TMPDIR", "/nowhere")
    with pytest.raises(ResourceError, match="RAY_TMPDIR"):
        make_ray_folder()


def test_a_token_is_made_once_and_read_by_its_user_alone(token: Path) -> None:
    protect_token()
    made = token.read_text()
    assert len(made) == 64
    assert (mode(token.parent), mode(token)) == (0o700, 0o600)
    protect_token()
    assert token.read_text() == made
    assert list(token.parent.iterdir()) == [token]


def test_a_token_that_others_could_read_is_kept_and_closed_to_them(token: Path) -> None:
    token.parent.mkdir()
    token.write_text("ab" * 32)
    assert mode(token) == 0o666
    protect_token()
    assert token.read_text() == "ab" * 32
    assert (mode(token.parent), mode(token)) == (0o700, 0o600)


def test_a_home_that_cannot_be_written_to_is_left_to_ray(token: Path) -> None:
    token.parent.write_text("in the way")
    protect_token()
    assert token.parent.read_text() == "in the way"
