"""CUDA's cache of compiled code: where it is, and that the user's choice stands."""

import os
import stat
from pathlib import Path

import pytest

from bench.execution.gpus.gpu_code_cache import CACHE_BYTES, set_code_cache


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_code_cache_is_private_to_its_user(cache: Path) -> None:
    environ: dict[str, str] = {}
    assert set_code_cache(environ) is None
    folder = Path(environ["CUDA_CACHE_PATH"])
    assert folder.is_relative_to(cache / f"cuda-{os.getuid()}")
    assert stat.S_IMODE((cache / f"cuda-{os.getuid()}").stat().st_mode) == 0o700
    assert environ["CUDA_CACHE_MAXSIZE"] == str(CACHE_BYTES)


def test_the_user_s_settings_are_kept(cache: Path) -> None:
    environ = {"CUDA_CACHE_PATH": "/mine", "CUDA_CACHE_MAXSIZE": "7"}
    assert set_code_cache(environ) is None
    assert environ == {"CUDA_CACHE_PATH": "/mine", "CUDA_CACHE_MAXSIZE": "7"}
    assert not cache.exists()


def test_a_cache_that_the_user_turned_off_stays_off(cache: Path) -> None:
    environ = {"CUDA_CACHE_DISABLE": "1"}
    assert set_code_cache(environ) is None
    assert environ == {"CUDA_CACHE_DISABLE": "1"}
    assert not cache.exists()


def test_without_a_folder_cuda_uses_its_default_and_there_is_a_warning(cache: Path) -> None:
    cache.write_text("a file")
    environ: dict[str, str] = {}
    assert set_code_cache(environ)
    assert "CUDA_CACHE_PATH" not in environ
