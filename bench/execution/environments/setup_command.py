"""Run the ``setup`` of an environment in its worktree.

Usage:
    log = run_setup("make deps", worktree, environ, timeout_s=600.0)   # SetupError if it fails
"""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from bench.errors import ResourceError
from bench.files.log_tail import tail_text
from bench.measure.host import kill_session
from bench.process_exit import describe_exit
from bench.records.atomic_write import temporary_file

_LOG_BYTES = 2**20


def run_setup(command: str, folder: Path, environ: Mapping[str, str], timeout_s: float) -> str:
    """Run the shell ``command`` in ``folder`` and return the end of its output.

    ResourceError, with the output as a note, if it fails or takes longer than ``timeout_s``. No
    process of its session is left.
    """
    with temporary_file() as log:
        process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # A terminal's Ctrl-C is for the run, which ends the command in good order.
            start_new_session=True,
        )
        try:
            code = process.wait(timeout_s)
            ended = describe_exit(code, log) if code else None
        except subprocess.TimeoutExpired:
            ended = f"did not end within {timeout_s:g} s: raise setup_timeout_s if it is only slow"
        finally:
            kill_session(process)
        log.seek(max(0, log.seek(0, os.SEEK_END) - _LOG_BYTES))
        output = log.read()
    if ended is not None:
        error = ResourceError(f"setup {ended}")
        error.add_note(tail_text(output) or "It printed nothing.")
        raise error
    return output.decode(errors="replace")
