"""Limits and peak memory of this process."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from bench.measure import cgroup, host

MIB = 2**20


def _run_child(code: str) -> int:
    run = subprocess.run(
        [sys.executable, "-c", f"from bench.measure import host\n{code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(run.stdout)


def test_a_process_confined_to_one_core_may_use_one() -> None:
    core = min(os.sched_getaffinity(0))
    assert (
        _run_child(f"import os; os.sched_setaffinity(0, {{{core}}}); print(host.usable_cores())")
        == 1
    )


def test_usable_cores_are_between_one_and_all() -> None:
    assert 1 <= host.usable_cores() <= (psutil.cpu_count() or 1)


def test_memory_is_never_more_than_the_machine_has() -> None:
    assert 0 < host.memory_bytes() <= psutil.virtual_memory().total


def test_available_memory_is_limited_by_the_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup, "memory_left_bytes", lambda: None)
    assert 0 < host.available_memory_bytes() <= psutil.virtual_memory().total
    monkeypatch.setattr(cgroup, "memory_left_bytes", lambda: 123)
    assert host.available_memory_bytes() == 123


def test_the_peak_remains_after_the_memory_is_freed() -> None:
    code = "b = bytearray(300 << 20); b[:] = b'x' * len(b); del b; print(host.peak_rss_bytes())"
    assert _run_child(code) >= 300 * MIB


def test_a_child_does_not_inherit_the_peak_of_its_parent() -> None:
    memory = bytearray(b"x") * (400 * MIB)
    assert host.peak_rss_bytes() >= 400 * MIB  # type: ignore[operator]
    assert _run_child("print(host.peak_rss_bytes())") < 200 * MIB
    assert len(memory) == 400 * MIB


def test_the_peak_is_none_if_the_kernel_does_not_record_it(tmp_path: Path) -> None:
    assert host.peak_rss_bytes(tmp_path / "status") is None


def test_the_count_of_kills_does_not_decrease() -> None:
    before, after = host.cgroup_oom_kills(), host.cgroup_oom_kills()
    assert before is None or (after is not None and after >= before >= 0)


def test_a_session_includes_its_leader_and_processes_of_other_groups() -> None:
    code = (
        "import subprocess as s; print(s.Popen(['sleep', '60'], process_group=0).pid, flush=True)"
    )
    command = [sys.executable, "-c", f"{code}; input()"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, start_new_session=True) as leader:
        assert leader.stdout is not None
        child = int(leader.stdout.readline())
        assert set(host.session_pids(leader.pid)) == {leader.pid, child}
        psutil.Process(child).kill()
        leader.kill()
