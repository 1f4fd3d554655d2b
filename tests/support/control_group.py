"""A control group of the kernel that limits a test's processes.

Usage:
    with control_group("pids", {"pids.max": "100"}) as group:
        subprocess.run(["sh", "-c", f"echo $$ > {group}/cgroup.procs && exec ..."])
"""

import contextlib
import errno
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

GROUPS = Path("/sys/fs/cgroup")


@contextlib.contextmanager
def control_group(controller: str, limits: Mapping[str, str]) -> Iterator[Path]:
    """Make a group with the first of ``limits`` (values by file) that exists; then end what it has.

    Control groups of version 1 have a tree for each controller, those of version 2 only one. Skips
    the test if no such group can be made here.
    """
    parent = GROUPS / controller if (GROUPS / controller).is_dir() else GROUPS
    group = parent / f"bench-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        # Containers often have none, or one that is read-only; any other error is a fault.
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT):
            raise
        pytest.skip(f"no control group can be made here: {error}")
    try:
        limit = next((group / name for name in limits if (group / name).exists()), None)
        if limit is None:
            # Its parent passes the controller on to no child, which is for the system to say.
            pytest.skip(f"control groups here do not limit {controller}")
        limit.write_text(limits[limit.name])
        yield group
    finally:
        while pids := (group / "cgroup.procs").read_text().split():
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), 9)
            time.sleep(0.1)
        group.rmdir()
