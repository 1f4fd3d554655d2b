"""XLA's kernel choices are kept in a private folder per GPU; the user's flags take precedence.

What XLA does with the folder is seen on a CUDA stack; here TensorFlow's flag, and the folder.
"""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FLAG = "--xla_gpu_experimental_autotuner_cache_dir"

_SHARE = """
import importlib.metadata, json, os
from bench.execution.gpus.autotuning_cache import share_autotuning_cache
from bench.measure.gpu import gpus
version = {version!r}
if version:
    importlib.metadata.version = lambda _name: version
cards = gpus() if {has_gpus!r} else ()
settings, warning = share_autotuning_cache([card.uuid for card in cards])
answer = {{"settings": settings, "warning": warning, "flags": os.environ.get("XLA_FLAGS")}}
answer["uuids"] = [card.uuid for card in cards]
print(json.dumps(answer))
"""

Share = Callable[..., dict[str, Any]]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """The suite's cache folder."""
    return tmp_path / "cache"


@pytest.fixture
def share(fake_nvml: Path, cache: Path) -> Share:
    """Share the cache in a process with GPUs, and return what it reports."""

    def shared(
        flags: str | None = None, *, has_gpus: bool = True, version: str = "", **variables: str
    ) -> dict[str, Any]:
        environ = {**os.environ, "LD_LIBRARY_PATH": str(fake_nvml), "BENCH_CACHE_DIR": str(cache)}
        environ.pop("XLA_FLAGS", None)
        environ |= variables | ({} if flags is None else {"XLA_FLAGS": flags})
        code = _SHARE.format(version=version, has_gpus=has_gpus)
        done = subprocess.run(
            [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
        )
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    return shared


def folder_of(answer: dict[str, Any]) -> Path:
    """Return the folder in XLA's flags."""
    first = answer["flags"].split()[0]
    assert first.startswith(f"{FLAG}=")
    return Path(first.partition("=")[2])


def test_each_gpu_has_a_folder_that_only_its_user_can_enter(share: Share, cache: Path) -> None:
    answer = share()
    folder = folder_of(answer)
    assert folder.is_dir() and folder.is_absolute()
    assert folder.name == answer["uuids"][0]
    top = cache / f"autotuning-{os.getuid()}"
    assert top in folder.parents
    assert stat.S_IMODE(top.stat().st_mode) == 0o700


def test_later_trials_use_the_same_folder_and_record_how_many_choices_it_held(
    share: Share,
) -> None:
    first = share()
    folder = folder_of(first)
    (folder / "a.textproto").write_text("gemm { algorithm: 1 }")
    (folder / "empty.textproto").touch()
    second = share()
    assert folder_of(second) == folder
    assert first["settings"]["autotune_entry_count"] == 0
    assert second["settings"]["autotune_entry_count"] == 1
    # XLA would take an empty entry for a choice that it has, and choose anew each time.
    assert [entry.name for entry in folder.glob("*.textproto")] == ["a.textproto"]


def test_the_recorded_key_names_versions_and_model_but_no_path(share: Share, cache: Path) -> None:
    answer = share()
    key = answer["settings"]["autotune_cache"]
    assert key == folder_of(answer).parent.name
    assert "tensorflow-2.21" in key
    assert "/" not in key and str(cache) not in key


def test_the_user_s_flags_are_kept_and_come_last(share: Share) -> None:
    flags = share("--xla_gpu_autotune_level=2")["flags"].split()
    assert flags[0].startswith(FLAG)
    assert flags[1:] == ["--xla_gpu_autotune_level=2"]


@pytest.mark.parametrize("user_flags", [f"{FLAG}=/mine", "flags.txt"])
def test_the_user_s_cache_folder_or_flag_file_is_left_alone(share: Share, user_flags: str) -> None:
    answer = share(user_flags)
    assert (answer["settings"], answer["warning"], answer["flags"]) == ({}, None, user_flags)


def test_without_gpus_nothing_changes(share: Share, cache: Path) -> None:
    answer = share(has_gpus=False)
    assert (answer["settings"], answer["warning"], answer["flags"]) == ({}, None, None)
    assert not cache.exists()


def test_a_tensorflow_that_may_not_know_the_flag_does_not_get_it(share: Share) -> None:
    # An unknown flag ends the process.
    assert share(version="2.22.0")["flags"] is None
    assert share(version="2.211.0")["flags"] is None


def is_refused(answer: dict[str, Any]) -> bool:
    """Return whether nothing is cached and the record says so."""
    return answer["flags"] is None and answer["settings"] == {"autotune_cache": None}


def test_an_unusable_cache_folder_gives_a_warning_and_no_failure(share: Share, cache: Path) -> None:
    cache.mkdir()
    (cache / f"autotuning-{os.getuid()}").write_text("in the way")
    answer = share()
    assert is_refused(answer)
    assert answer["warning"] and str(cache) not in answer["warning"]


def test_a_link_made_by_another_user_is_not_used(share: Share, cache: Path, tmp_path: Path) -> None:
    cache.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (cache / f"autotuning-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    assert is_refused(share())


def test_a_path_with_whitespace_is_not_used(share: Share, tmp_path: Path) -> None:
    answer = share(BENCH_CACHE_DIR=str(tmp_path / "with blank"))
    assert is_refused(answer) and "BENCH_CACHE_DIR" in answer["warning"]


@pytest.mark.slow
def test_this_tensorflow_knows_the_flag(tmp_path: Path) -> None:
    compiled = "import tensorflow as tf; tf.function(lambda x: x + 1, jit_compile=True)(1.0)"
    done = subprocess.run(
        [sys.executable, "-c", compiled],
        env={**os.environ, "XLA_FLAGS": f"{FLAG}={tmp_path}", "CUDA_VISIBLE_DEVICES": "-1"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0
