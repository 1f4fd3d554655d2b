"""What this process may use, and the most that it has used."""

import os
import subprocess
import sys
from pathlib import Path

import psutil

from bench.measure import host

MIB = 2**20


def _child(code: str) -> int:
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
        _child(f"import os; os.sched_setaffinity(0, {{{core}}}); print(host.usable_cores())") == 1
    )


def test_usable_cores_lie_between_one_and_all() -> None:
    assert 1 <= host.usable_cores() <= (psutil.cpu_count() or 1)


def test_memory_is_never_more_than_the_machine_has() -> None:
    assert 0 < host.memory_bytes() <= psutil.virtual_memory().total


def test_the_peak_stands_after_the_memory_was_given_back() -> None:
    code = "b = bytearray(300 << 20); b[:] = b'x' * len(b); del b; print(host.peak_rss_bytes())"
    assert _child(code) >= 300 * MIB


def test_the_peak_of_a_parent_is_not_its_childs() -> None:
    held = bytearray(b"x") * (400 * MIB)
    assert host.peak_rss_bytes() >= 400 * MIB  # type: ignore[operator]
    assert _child("print(host.peak_rss_bytes())") < 200 * MIB
    assert len(held) == 400 * MIB


def test_the_peak_is_none_where_the_kernel_keeps_none(tmp_path: Path) -> None:
    assert host.peak_rss_bytes(tmp_path / "status") is None


def test_the_count_of_kills_does_not_fall() -> None:
    before, after = host.cgroup_oom_kills(), host.cgroup_oom_kills()
    assert before is None or (after is not None and after >= before >= 0)


def test_a_session_holds_its_leader_and_what_moved_to_another_group() -> None:
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
