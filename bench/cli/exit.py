"""How the program starts and ends: signals, errors, exit codes.

Usage:
    main()      # what the shell calls
"""

import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import gettempdir
from typing import NoReturn

import typer

from bench.cli.completion import REQUEST, whole_words
from bench.cli.main import app
from bench.cli.say import complain, show_traceback
from bench.cli.streams import guard_streams
from bench.cli.usage import usage_text
from bench.errors import BenchError, StorageError
from bench.files.disk_space import NO_SPACE, full_disks, storage_problem
from bench.files.private_folder import user_home


def main() -> NoReturn:
    """Run the command and exit with its code."""
    guard_streams()
    # A cancelled job gets SIGTERM, a closed terminal SIGHUP: end as cleanly as on Ctrl-C.
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # else it is ignored, as nohup has it
            signal.signal(number, signal.default_int_handler)
    code = exit_code(sys.argv[1:])
    with contextlib.suppress(StorageError):
        sys.stdout.flush()  # what Python does as it exits; it would exit with 120
    sys.exit(code)


def exit_code(words: Sequence[str]) -> int:
    """Run a command line and return its exit code; "--debug" may stand anywhere in it."""
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        with whole_words(os.environ):
            code = app(words, prog_name="bench", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except SystemExit as end:
        return _exited(end)
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except Exception as error:
        if debug:
            show_traceback()
        return _failed(error)


def _exited(end: SystemExit) -> int:
    """The code where Typer exited by itself."""
    if isinstance(end.__context__, BrokenPipeError):  # not stdout's or stderr's: see streams
        return _failed(end.__context__)
    if REQUEST in os.environ:  # a shell's, which is answered
        return end.code if isinstance(end.code, int) else 0
    return 2 if end.code else 0  # a shell that it cannot complete words for


def _failed(error: Exception) -> int:
    """Say what is wrong, in a line; the exit code that it has."""
    if isinstance(error, typer.TyperException) and error.format_message().startswith("Usage:"):
        sys.stderr.write(error.format_message() + "\n")  # no command at all: Typer's help
        return 2
    message, code = _explained(error)
    complain(message)
    return code


def _explained(error: Exception) -> tuple[str, int]:
    if isinstance(error, BenchError):
        return str(error), error.exit_code
    if isinstance(error, typer.TyperException):
        return usage_text(error), 2
    if isinstance(error, OSError) and isinstance(error.filename, str | bytes) and error.strerror:
        return storage_problem(Path(os.fsdecode(error.filename)), error), 5
    if isinstance(error, OSError) and error.errno in NO_SPACE:
        full = full_disks([Path(), Path(gettempdir()), Path("/dev/shm"), user_home()])
        places = ", ".join(map(str, full)) or "the disk that is written to"
        return f"{error.strerror}: free space on {places}", 5
    if isinstance(error, MemoryError) or "failed to map segment" in str(error):
        return "no memory for a library of its own: raise the limit (ulimit -v, memory.max)", 2
    reason = " ".join(str(error).split())
    return f"unexpected {type(error).__name__}: {reason}: add --debug, and report what it says", 5
