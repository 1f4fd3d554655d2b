"""Limits under which Ray would neither start nor fail."""

import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.errors import ResourceError
from bench.execution.ray_backend.local import start_limits
from bench.execution.ray_backend.local.start_limits import (
    MIN_MEMORY_BYTES,
    MIN_PROCESSES,
    check_limits,
)
from bench.measure import host
from tests.support.control_group import control_group
from tests.support.processes import COMMAND, PATIENCE_S
from tests.support.sample_suites import SINGLE, write_suite

LEFT = ("processes_left", "user_processes_left", "memory_left_bytes", "address_space_bytes")


@pytest.fixture(autouse=True)
def no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in LEFT:
        monkeypatch.setattr(host, name, lambda: None)


def test_no_limit_is_no_reason() -> None:
    check_limits(cores=64)


@pytest.mark.parametrize(
    ("limit", "least", "remedy"),
    [
        ("processes_left", MIN_PROCESSES + 20, "--pids-limit"),
        ("user_processes_left", MIN_PROCESSES + 20, "ulimit -u"),
        ("memory_left_bytes", MIN_MEMORY_BYTES, "--memory"),
        ("address_space_bytes", 2_800_000_000 + 10**9, "ulimit -v"),
    ],
)
def test_a_limit_that_leaves_less_than_is_needed_is_named_with_how_to_raise_it(
    monkeypatch: pytest.MonkeyPatch, limit: str, least: int, remedy: str
) -> None:
    monkeypatch.setattr(start_limits, "object_store_bytes", lambda: 10**9)
    monkeypatch.setattr(host, limit, lambda: least)
    check_limits(cores=2)
    monkeypatch.setattr(host, limit, lambda: least - 1)
    with pytest.raises(ResourceError, match=remedy):
        check_limits(cores=2)


@pytest.fixture
def few_processes() -> Iterator[Path]:
    """A control group in which a Ray cannot start."""
    with control_group("pids", {"pids.max": "100"}) as group:
        yield group


@pytest.mark.slow
@pytest.mark.parametrize("limited", ["processes", "address space"])
def test_a_run_under_a_limit_is_refused_within_a_minute_and_leaves_no_folder(
    request: pytest.FixtureRequest, tmp_path: Path, limited: str
) -> None:
    suite, out = write_suite(tmp_path / "s.toml", SINGLE), tmp_path / "run"
    enter = "ulimit -v 6000000"
    if limited == "processes":
        enter = f"echo $$ > {request.getfixturevalue('few_processes')}/cgroup.procs"
    done = subprocess.run(
        ["sh", "-c", f'{enter} && exec "$0" "$@"', COMMAND, "run", str(suite), "--out", str(out)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert "raise" in done.stderr
    assert not out.exists()


def test_a_user_s_limit_counts_the_threads_that_there_are() -> None:
    code = (
        "import os, resource\n"
        "resource.setrlimit(resource.RLIMIT_NPROC, (50_000, 50_000))\n"
        "from bench.measure import host\n"
        "asroot = host.user_processes_left()\n"
        "os.geteuid = lambda: 1000\n"
        "print(asroot is None or os.getuid() != 0, host.user_processes_left())"
    )
    hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    if hard != resource.RLIM_INFINITY and hard < 50_000:
        pytest.skip(f"the limit of {hard} processes here is below those that the test sets")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    exempt, left = done.stdout.split()
    assert exempt == "True"
    assert 0 < int(left) < 50_000
