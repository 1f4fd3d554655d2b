"""Start and end the program: signals, errors, exit codes.

Usage:
    main()      # called by the shell
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

from bench.cli.app import app
from bench.cli.completion import REQUEST, rejoin_words
from bench.cli.output import print_error, show_traceback
from bench.cli.streams import guard_streams
from bench.cli.usage_errors import usage_text
from bench.errors import BenchError, StorageError
from bench.files.disk_space import NO_SPACE, full_disks, storage_problem
from bench.files.private_folder import user_home


def main() -> NoReturn:
    """Run the command and exit with its code."""
    guard_streams()
    # A canceled job gets SIGTERM, a closed terminal SIGHUP: end as cleanly as on Ctrl-C.
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # else it is ignored, as under nohup
            signal.signal(number, signal.default_int_handler)
    code = exit_code(sys.argv[1:])
    with contextlib.suppress(StorageError):
        sys.stdout.flush()  # Python does so at exit, but would exit with code 120
    sys.exit(code)


def exit_code(words: Sequence[str]) -> int:
    """Run a command line and return its exit code; "--debug" may be anywhere in it."""
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        with rejoin_words(os.environ):
            code = app(words, prog_name="bench", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except SystemExit as end:
        return _exit_code_of(end)
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except Exception as error:
        if debug:
            show_traceback()
        return _report_error(error)


def _exit_code_of(end: SystemExit) -> int:
    """Return the exit code if Typer exits by itself."""
    if isinstance(end.__context__, BrokenPipeError):  # not of stdout or stderr: see streams
        return _report_error(end.__context__)
    if REQUEST in os.environ:  # a completion, now done
        return end.code if isinstance(end.code, int) else 0
    return 2 if end.code else 0  # a shell for which Typer cannot complete words


def _report_error(error: Exception) -> int:
    """Print what is wrong on one line; return the exit code."""
    if isinstance(error, typer.TyperException) and error.format_message().startswith("Usage:"):
        sys.stderr.write(error.format_message() + "\n")  # without a command Typer prints its help
        return 2
    message, code = _explain(error)
    print_error(message)
    return code


def _explain(error: Exception) -> tuple[str, int]:
    if isinstance(error, BenchError):
        return str(error), error.exit_code
    if isinstance(error, typer.TyperException):
        return usage_text(error), 2
    if isinstance(error, OSError) and isinstance(error.filename, str | bytes) and error.strerror:
        return storage_problem(Path(os.fsdecode(error.filename)), error), 5
    if isinstance(error, OSError) and error.errno in NO_SPACE:
        full = full_disks([Path(), Path(gettempdir()), Path("/dev/shm"), user_home()])
        paths = ", ".join(map(str, full)) or "the disk that it writes to"
        return f"{error.strerror}: free space on {paths}", 5
    if isinstance(error, MemoryError) or "failed to map segment" in str(error):
        return "not enough memory to load a library: raise the limit (ulimit -v, memory.max)", 2
    reason = " ".join(str(error).split())
    remedy = "re-run with --debug and report the traceback"
    return f"unexpected {type(error).__name__}: {reason}: {remedy}", 5
