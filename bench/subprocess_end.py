"""How a process that bench started came to its end, in words.

Usage:
    with tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(command, stderr=stderr)
        how_it_ended(process.wait(), stderr)    # "was ended by SIGKILL"
"""

import os
import signal
from typing import IO

_MOST_BYTES = 64 * 2**10
"""Of an output whose last line is looked for."""


def how_it_ended(code: int, stderr: IO[bytes]) -> str:
    """``code`` as ``Popen.returncode`` has it; with the last line that it wrote to ``stderr``."""
    if name := signal_name(code):
        return f"was ended by {name}"
    said = last_line(stderr)
    return f"ended with code {code}" + (f": {said}" if said else "")


def signal_name(code: int) -> str | None:
    """The signal that ended a process with that return code; None where it ended by itself."""
    if code >= 0:
        return None
    try:
        return signal.Signals(-code).name
    except ValueError:  # a real-time signal, most of which have no name
        return f"signal {-code}"


def last_line(file: IO[bytes]) -> str:
    """The last line of ``file`` that is not blank, or nothing."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _MOST_BYTES))
    lines = file.read().decode(errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else ""
