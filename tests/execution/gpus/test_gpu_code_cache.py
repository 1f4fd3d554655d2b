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


def test_it_is_in_the_suites_cache_and_nobody_else_s_to_write(cache: Path) -> None:
    environ: dict[str, str] = {}
    assert set_code_cache(environ) is None
    folder = Path(environ["CUDA_CACHE_PATH"])
    assert folder.is_relative_to(cache / f"cuda-{os.getuid()}")
    assert stat.S_IMODE((cache / f"cuda-{os.getuid()}").stat().st_mode) == 0o700
    assert environ["CUDA_CACHE_MAXSIZE"] == str(CACHE_BYTES)


def test_what_the_user_set_stands(cache: Path) -> None:
    environ = {"CUDA_CACHE_PATH": "/mine", "CUDA_CACHE_MAXSIZE": "7"}
    assert set_code_cache(environ) is None
    assert environ == {"CUDA_CACHE_PATH": "/mine", "CUDA_CACHE_MAXSIZE": "7"}
    assert not cache.exists()


def test_a_cache_that_the_user_turned_off_stays_off(cache: Path) -> None:
    environ = {"CUDA_CACHE_DISABLE": "1"}
    assert set_code_cache(environ) is None
    assert environ == {"CUDA_CACHE_DISABLE": "1"}
    assert not cache.exists()


def test_where_no_folder_can_be_made_cuda_has_its_own_and_it_is_told(cache: Path) -> None:
    cache.write_text("a file")
    environ: dict[str, str] = {}
    assert set_code_cache(environ)
    assert "CUDA_CACHE_PATH" not in environ
