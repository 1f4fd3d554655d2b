"""Read the end of a log that a process has left.

Usage:
    log_tail(path)         # the last lines as text, or None
"""

import os
import re
import stat
from pathlib import Path

TAIL_BYTES = 4_000
_READ_BYTES = 2**20
"""Size of the log's end that is searched for the line on which the process ended."""
_FATAL = re.compile(rb"(?:^E\d{4} .{,1000}\n)?^F\d{4} .{,1000}(?:\nusage: .{,100})?", re.MULTILINE)
"""The line with which TensorFlow ends its process, and the lines around it that give the context.
"""


def log_tail(log: Path) -> str | None:
    """Return the last 4,000 bytes as text, after TensorFlow's fatal line if that is before them.

    None if the log is empty or no regular file of this user.
    """
    try:
        return tail_text(end_of_log(log))
    except OSError:
        return None


def tail_text(content: bytes) -> str | None:
    """Return the tail of the end of a log."""
    tail = content[-TAIL_BYTES:]
    # More output, for example a list of all flags, may follow the fatal line.
    if fatal := _FATAL.search(content[:-TAIL_BYTES]):
        tail = fatal.group() + b"\n...\n" + tail
    return tail.decode(errors="replace").strip() or None


def end_of_log(log: Path) -> bytes:
    """Return the last mebibyte of a log; OSError if the file is not a regular file of this user.

    A Ray that this package has not started keeps its logs in a folder where any user can replace a
    log by a link to another file.
    """
    handle = os.open(log, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(handle)
        is_regular = stat.S_ISREG(status.st_mode) and status.st_nlink == 1
        if not (is_regular and status.st_uid == os.getuid()):
            raise PermissionError(f"{log} is not this user's log")
        file.seek(max(0, status.st_size - _READ_BYTES))
        return file.read(_READ_BYTES)
