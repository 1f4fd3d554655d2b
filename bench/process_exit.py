"""Describe how a process that bench started exited.

Usage:
    with tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(command, stderr=stderr)
        describe_exit(process.wait(), stderr)    # "was killed by SIGKILL"
"""

import os
import signal
from typing import IO

_MAX_BYTES = 64 * 2**10
"""The part of an output, from its end, in which ``last_line`` looks for a line."""


def describe_exit(code: int, stderr: IO[bytes]) -> str:
    """Describe the exit ``code`` (``Popen.returncode``), with the last line of ``stderr``."""
    if name := signal_name(code):
        return f"was killed by {name}"
    line = last_line(stderr)
    return f"exited with code {code}" + (f": {line}" if line else "")


def signal_name(code: int) -> str | None:
    """Return the signal that killed a process with that return code; None if it exited itself."""
    if code >= 0:
        return None
    try:
        return signal.Signals(-code).name
    except ValueError:  # a real-time signal, most of which have no name
        return f"signal {-code}"


def last_line(file: IO[bytes]) -> str:
    """Return the last line of ``file`` that is not blank, or an empty text."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _MAX_BYTES))
    lines = file.read().decode(errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else ""
