"""Kill a run's processes if the run's own process dies.

Usage:
    with reaper(mark, folder): ...   # if this process dies in the block, the marked ones are killed

Ray's agents outlive a killed driver by up to two minutes. The reaper is a small process at the
other end of a pipe, which the kernel closes however its holder ends.
"""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from bench.execution.python_command import module_command
from bench.execution.ray_backend.local.private_ray_files import remove_ray_folder
from bench.measure.marked_processes import kill_marked

_KILL_S = 30.0


@contextlib.contextmanager
def reaper(mark: str, folder: Path | None = None) -> Iterator[None]:
    """Kill the processes with ``mark`` if this process ends inside the block.

    Ray's ``folder`` is removed after them.
    """
    process = subprocess.Popen(
        module_command(__name__, mark, *([str(folder)] if folder else [])),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=0,
    )
    try:
        yield
    finally:
        # No marked process remains by now, so that there is nothing to wait for.
        process.kill()
        process.communicate()


def main() -> None:
    """Wait for the end of stdin, then kill the marked processes and remove the folder."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    mark, *folders = sys.argv[1:]
    if kill_marked(mark, _KILL_S):
        for folder in folders:
            remove_ray_folder(Path(folder))


if __name__ == "__main__":
    main()
