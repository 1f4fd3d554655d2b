"""XLA's entries are kept for the machine they were compiled for, and only whole ones are used."""

import importlib.metadata
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.execution.trial_environment import compilation_cache as module
from bench.execution.trial_environment.compilation_cache import CompilationCache, compilation_cache

ENTRY = "xla_compile_cache__1__2__XLA_CPU_JIT.pb"
FLAG = "--tf_xla_persistent_cache_directory="


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def folder_of(variables: Mapping[str, str]) -> Path:
    value = variables["TF_XLA_FLAGS"].split()[0]
    assert value.startswith(FLAG)
    return Path(value.removeprefix(FLAG))


def shared_folder(cache: CompilationCache) -> Path:
    """Return the folder in which the entries of a block are in the end."""
    folder = folder_of(cache.for_process().variables)
    return folder if cache.found else folder.parent.parent


def folder_for(environ: Mapping[str, str] | None = None, cores: int = 2) -> Path:
    with compilation_cache(environ or {}, cores, repeat=1) as cache:
        return shared_folder(cache)


def compile_entry(content: bytes = b"code", name: str = ENTRY, repeat: int = 1) -> Path:
    """Write an entry as XLA would within a block."""
    with compilation_cache({}, 2, repeat) as cache:
        folder = shared_folder(cache)
        (folder_of(cache.for_process().variables) / name).write_bytes(content)
    return folder / name


def test_what_the_first_repeat_compiles_is_found_in_the_second() -> None:
    entry = compile_entry(repeat=0)
    with compilation_cache({}, 2, repeat=1) as cache:
        assert cache.found
        assert folder_of(cache.for_process().variables) == entry.parent
        assert entry.read_bytes() == b"code"


def test_no_process_of_a_first_repeat_finds_a_program() -> None:
    compile_entry()
    with compilation_cache({}, 2, repeat=0) as cache:
        assert not cache.found
        one, other = cache.for_process(), cache.for_process()
        assert (folder_of(one.variables), folder_of(other.variables)) == (
            one.empty_folder,
            other.empty_folder,
        )
        assert one.empty_folder != other.empty_folder
        for process in (one, other):
            assert process.empty_folder is not None
            assert not list(process.empty_folder.iterdir())


def test_a_later_repeat_that_finds_no_program_says_so() -> None:
    with compilation_cache({}, 2, repeat=1) as cache:
        assert not cache.found


def test_an_entry_that_two_blocks_compile_at_once_is_kept_once() -> None:
    with compilation_cache({}, 2, repeat=0) as one, compilation_cache({}, 2, repeat=0) as other:
        for cache in (one, other):
            (folder_of(cache.for_process().variables) / ENTRY).write_bytes(b"code")
        folder = shared_folder(one)
    assert folder_for() == folder
    assert {file.name for file in folder.iterdir()} == {ENTRY, f"{ENTRY}.sha256", "lock"}


def test_what_a_killed_block_left_goes() -> None:
    folder = folder_for()
    half = folder / "new-1" / "process" / ENTRY
    half.parent.mkdir(parents=True)
    half.write_bytes(b"ha")
    assert folder_for() == folder
    assert [file.name for file in folder.iterdir()] == ["lock"]


def test_the_folder_is_the_users_alone(cache_folder: Path) -> None:
    folder = folder_for()
    assert folder.parent.parent == cache_folder
    assert folder.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("value", [f"{FLAG}/elsewhere", "/etc/flags"])
def test_the_users_own_folder_or_file_of_flags_is_kept(value: str) -> None:
    with compilation_cache({"TF_XLA_FLAGS": value}, 2, repeat=1) as cache:
        assert cache.for_process().variables == {}


def test_other_flags_of_the_user_are_kept() -> None:
    with compilation_cache({"TF_XLA_FLAGS": "--tf_xla_clustering_debug"}, 2, repeat=1) as cache:
        flags = cache.for_process().variables["TF_XLA_FLAGS"]
        assert flags.endswith(" --tf_xla_clustering_debug")


def test_each_machine_and_setting_has_its_own_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [folder_for(), folder_for(cores=1), folder_for({"XLA_FLAGS": "--xla_a"})]
    folders.append(folder_for({"TF_XLA_FLAGS": "--tf_xla_a"}))
    with compilation_cache({}, 2, repeat=1, build="2.19.0-0123") as cache:
        folders.append(shared_folder(cache))
    assert "tensorflow-2.19.0" in folders[-1].name
    monkeypatch.setattr(module, "cpu_identity", lambda: {"model name": "another"})
    folders.append(folder_for())

    class Other:
        version = "2.18.0"

        def read_text(self, _name: str) -> Any:
            return "other files"

    monkeypatch.setattr(importlib.metadata, "distribution", lambda _name: Other())
    folders.append(folder_for())
    assert len(set(folders)) == len(folders)
    assert "tensorflow-2.18.0" in folders[-1].name


def test_a_whole_entry_stays() -> None:
    entry = compile_entry()
    assert folder_for() == entry.parent
    assert entry.read_bytes() == b"code"


@given(st.binary(min_size=1, max_size=60), st.data())
def test_a_damaged_entry_goes(content: bytes, data: st.DataObject) -> None:
    entry = compile_entry(content)
    damaged = data.draw(st.binary(max_size=60).filter(lambda other: other != content))
    entry.write_bytes(damaged)
    folder_for()
    assert not entry.exists()


@pytest.mark.parametrize("digest", [None, "", "0" * 64])
def test_an_entry_without_its_digest_goes(digest: str | None) -> None:
    entry = compile_entry()
    file = entry.with_name(f"{ENTRY}.sha256")
    if digest is None:
        file.unlink()
    else:
        file.write_text(digest)
    (entry.parent / "half.tmp").touch()
    folder_for()
    assert [file.name for file in entry.parent.iterdir()] == ["lock"]


def test_an_entry_in_use_is_not_removed() -> None:
    with compilation_cache({}, 2, repeat=1) as cache:
        entry = folder_of(cache.for_process().variables) / ENTRY
        entry.write_bytes(b"not sealed yet")
        folder_for()
        assert entry.exists()


def test_the_oldest_entries_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_BYTES", 5)
    old = compile_entry(b"1234", "xla_compile_cache__old.pb")
    new = compile_entry(b"5678", "xla_compile_cache__new.pb")
    os.utime(old, (1, 1))
    folder_for()
    assert (old.exists(), new.exists()) == (False, True)


def test_an_unusable_folder_is_a_warning(
    cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache_folder.write_text("a file")
    with compilation_cache({}, 2, repeat=1) as cache:
        assert cache.for_process().variables == {}
        assert cache.warning is not None
        assert cache.warning.startswith("XLA's compiled programs are not kept: ")
    monkeypatch.setenv("BENCH_CACHE_DIR", f"{cache_folder}-with a blank")
    with compilation_cache({}, 2, repeat=1) as cache:
        assert "set BENCH_CACHE_DIR" in (cache.warning or "")


def test_an_error_in_the_block_is_not_swallowed() -> None:
    with pytest.raises(OSError, match="mine"), compilation_cache({}, 2, repeat=1):
        raise OSError("mine")
