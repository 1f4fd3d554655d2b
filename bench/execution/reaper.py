"""A small process that ends what a run has started, once the run's own process is gone.

Usage:
    with reaper(mark, folder): ...   # whoever is killed in here takes all that is marked along

Ray's agents outlive a driver that is killed by up to two minutes. The kernel closes a pipe
however its holder ends.
"""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from bench.execution.own_python import own_python
from bench.execution.ray_files import remove_ray_folder
from bench.measure.processes import kill_marked

_KILL_S = 30.0


@contextlib.contextmanager
def reaper(mark: str, folder: Path | None = None) -> Iterator[None]:
    """Have the processes with ``mark`` killed if this process ends inside the block.

    Ray's ``folder`` is removed after them.
    """
    process = subprocess.Popen(
        own_python(__name__, mark, *([str(folder)] if folder else [])),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=0,
    )
    try:
        yield
    finally:
        # Nothing marked is left by now, so that there is nothing to wait for.
        process.kill()
        process.communicate()


def main() -> None:
    """Wait for the end of stdin, then kill what is marked and remove its folder."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    mark, *folders = sys.argv[1:]
    if kill_marked(mark, _KILL_S):
        for folder in folders:
            remove_ray_folder(Path(folder))


if __name__ == "__main__":
    main()
