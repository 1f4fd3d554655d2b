"""Where a local Ray keeps its files and its token, on machines where its own choice fails."""

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

# Ray's compiled library tells no types.
from ray._raylet import AuthenticationTokenLoader  # type: ignore[attr-defined]

from bench.errors import ResourceError
from bench.execution.ray_backend.local import ray_storage
from bench.execution.ray_backend.local.ray_storage import storage_variables

LONG = "a" * 90


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_TMPDIR", "TMPDIR", "XDG_RUNTIME_DIR", "RAY_AUTH_TOKEN", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    AuthenticationTokenLoader.instance().reset_cache()
    return tmp_path


@pytest.fixture(autouse=True)
def token_read_anew() -> None:
    AuthenticationTokenLoader.instance().reset_cache()


def unusable(tmp_path: Path) -> dict[str, str]:
    """Folders that cannot be used, each for a reason of its own."""
    (tmp_path / LONG).mkdir()
    (tmp_path / "file").touch()
    return {
        "too long": str(tmp_path / LONG),
        "missing": str(tmp_path / "missing"),
        "a file": str(tmp_path / "file"),
        "not writable": "/proc",
        "relative": "tmp",
    }


@pytest.mark.parametrize("kind", ["too long", "missing", "a file", "not writable", "relative"])
def test_a_tmpdir_that_cannot_be_used_gives_way_and_ray_s_own_variable_is_refused(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = unusable(tmp_path)[kind]
    monkeypatch.setenv("TMPDIR", folder)
    assert storage_variables()["RAY_TMPDIR"] == "/tmp"
    monkeypatch.setenv("RAY_TMPDIR", folder)
    with pytest.raises(ResourceError, match="RAY_TMPDIR"):
        storage_variables()


def test_a_folder_that_can_be_used_is_and_nothing_is_left_in_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("TMPDIR", "RAY_TMPDIR"):
        monkeypatch.setenv(name, "/var/tmp")
        before = sorted(Path("/var/tmp").iterdir())
        assert storage_variables()["RAY_TMPDIR"] == "/var/tmp"
        assert sorted(Path("/var/tmp").iterdir()) == before


def test_a_full_disk_gives_way_to_the_next_and_where_none_is_left_one_line_names_the_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    free = {"/tmp": 0}
    found = shutil.disk_usage

    def usage(folder: Path) -> SimpleNamespace:
        base = str(folder).removesuffix("/ray")
        return SimpleNamespace(free=free.get(base, free.get("*", found(folder).free)))

    monkeypatch.setattr(shutil, "disk_usage", usage)
    assert storage_variables()["RAY_TMPDIR"] == "/var/tmp"
    free["*"] = 0
    with pytest.raises(ResourceError, match="set RAY_TMPDIR") as refused:
        storage_variables()
    assert "\n" not in str(refused.value)


@given(st.from_regex(r"[a-zé日]{1,120}", fullmatch=True))
def test_no_socket_s_path_is_longer_than_the_kernel_takes(name: str) -> None:
    base = Path("/", name)
    problem = ray_storage._problem(base)
    longest = base / "ray/session_2026-12-31_23-59-59_999999_4194304/sockets/plasma_store"
    if len(os.fsencode(longest)) > 107:
        assert problem is not None


def test_a_user_s_token_is_used(home: Path) -> None:
    (home / ".ray").mkdir()
    (home / ".ray" / "auth_token").write_text("f" * 64)
    assert "RAY_AUTH_TOKEN" not in storage_variables()


@pytest.mark.parametrize("home_folder", ["writable", "/proc/nowhere"])
def test_without_one_a_start_has_its_own_and_leaves_none_in_the_home_folder(
    home: Path, monkeypatch: pytest.MonkeyPatch, home_folder: str
) -> None:
    if home_folder != "writable":
        monkeypatch.setenv("HOME", home_folder)
    first, second = storage_variables(), storage_variables()
    assert len(first["RAY_AUTH_TOKEN"]) >= 32
    assert first["RAY_AUTH_TOKEN"] != second["RAY_AUTH_TOKEN"]
    assert list(home.iterdir()) == []


@pytest.mark.usefixtures("home")
def test_a_ray_without_tokens_needs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    assert storage_variables().keys() == {"RAY_TMPDIR"}


def test_a_token_that_a_variable_names_and_that_is_not_there_is_refused_by_that_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "/nonexistent")
    AuthenticationTokenLoader.instance().reset_cache()
    with pytest.raises(ResourceError, match="unset RAY_AUTH_TOKEN_PATH"):
        storage_variables()
