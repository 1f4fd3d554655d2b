"""Limits are read from file trees of both cgroup versions."""

from pathlib import Path

import pytest

from bench.measure.cgroup import (
    memory_left_bytes,
    memory_limit_bytes,
    oom_kills,
    processes_left,
    quota_cores,
    throttled_s,
)

GIB = 2**30


def _write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


@pytest.fixture
def version_2(tmp_path: Path) -> Path:
    """A step in a job, with limits on both."""
    return _write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/job/step",
            "sys/fs/cgroup/job/cpu.max": "150000 100000",
            "sys/fs/cgroup/job/memory.max": str(4 * GIB),
            "sys/fs/cgroup/job/memory.events": "oom 9\noom_kill 9",
            "sys/fs/cgroup/job/step/cpu.max": "max 100000",
            "sys/fs/cgroup/job/step/memory.max": str(8 * GIB),
            "sys/fs/cgroup/job/step/memory.events": "low 0\nhigh 0\nmax 7\noom 3\noom_kill 2",
        },
    )


@pytest.fixture
def version_1(tmp_path: Path) -> Path:
    """A container of version 1 that sees the host's path."""
    return _write(
        tmp_path,
        {
            "proc/self/cgroup": "5:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n0::/docker/abc",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": str(2 * GIB),
            "sys/fs/cgroup/memory/memory.oom_control": "oom_kill_disable 0\noom_kill 1",
        },
    )


def test_the_tightest_limit_of_all_groups_applies(version_2: Path) -> None:
    assert quota_cores(version_2) == 1.5
    assert memory_limit_bytes(version_2) == 4 * GIB


def test_throttled_time_is_summed_in_seconds_in_both_versions(tmp_path: Path) -> None:
    assert throttled_s(_write(tmp_path, {"proc/self/cgroup": "0::/job/step"})) is None
    step, job = "usage_usec 9\nthrottled_usec 500000", "nr_throttled 7\nthrottled_usec 1500000"
    files = {"sys/fs/cgroup/job/step/cpu.stat": step, "sys/fs/cgroup/job/cpu.stat": job}
    assert throttled_s(_write(tmp_path, files)) == 2.0
    old = {
        "proc/self/cgroup": "3:cpu,cpuacct:/",
        "sys/fs/cgroup/cpu/cpu.stat": "nr_periods 3\nthrottled_time 250000000",
    }
    assert throttled_s(_write(tmp_path, old)) == 0.25


def test_kills_are_counted_in_the_groups_file(version_2: Path) -> None:
    assert oom_kills(version_2) == 2


def test_a_container_of_version_1_is_read_at_the_top(version_1: Path) -> None:
    assert quota_cores(version_1) == 0.5
    assert memory_limit_bytes(version_1) == 2 * GIB
    assert oom_kills(version_1) == 1


def test_no_limit_is_none_in_both_versions(version_1: Path) -> None:
    _write(
        version_1,
        {
            "proc/self/cgroup": "5:memory:/\n3:cpu:/",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
        },
    )
    assert (quota_cores(version_1), memory_limit_bytes(version_1)) == (None, None)
    _write(version_1, {"proc/self/cgroup": "0::/free", "sys/fs/cgroup/free/memory.max": "max"})
    assert (quota_cores(version_1), memory_limit_bytes(version_1)) == (None, None)


def test_outside_any_group_the_machines_kills_are_counted(tmp_path: Path) -> None:
    root = _write(tmp_path, {"proc/vmstat": "pgfault 10\noom_kill 5"})
    assert oom_kills(root) == 5


def test_without_kernel_files_every_value_is_none(tmp_path: Path) -> None:
    assert (quota_cores(tmp_path), memory_limit_bytes(tmp_path), oom_kills(tmp_path)) == (None,) * 3


@pytest.mark.parametrize(
    ("controllers", "folder", "limit", "used"),
    [
        ("0::/job/step", "", "memory.max", "anon"),
        ("5:memory,pids:/job/step", "memory,pids/", "memory.limit_in_bytes", "total_rss"),
    ],
)
def test_the_rest_is_the_least_of_all_groups_and_caches_count_as_free(
    tmp_path: Path, controllers: str, folder: str, limit: str, used: str
) -> None:
    files = {"proc/self/cgroup": controllers}
    for base in {f"sys/fs/cgroup/{name}" for name in folder.rstrip("/").split(",")}:
        job = base.rstrip("/") + "/job"
        files |= {
            f"{job}/{limit}": str(4 * GIB),
            f"{job}/memory.stat": f"cache 9\nfile 99\n{used} {GIB}",
            f"{job}/step/{limit}": str(8 * GIB),
            f"{job}/step/memory.stat": f"{used} {GIB // 2}",
            f"{job}/pids.max": "max",
            f"{job}/pids.current": "70",
            f"{job}/step/pids.max": "100",
            f"{job}/step/pids.current": "30",
        }
    root = _write(tmp_path, files)
    assert memory_left_bytes(root) == 3 * GIB
    assert processes_left(root) == 70


def test_a_group_over_its_limit_has_nothing_left(tmp_path: Path) -> None:
    group = "sys/fs/cgroup/full"
    files = {f"{group}/pids.max": "10", f"{group}/pids.current": "12"}
    root = _write(tmp_path, {"proc/self/cgroup": "0::/full", **files})
    assert (processes_left(root), memory_left_bytes(root)) == (0, None)
