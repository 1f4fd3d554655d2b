"""How the program starts and ends: signals, errors, exit codes.

Usage:
    main()      # what the shell calls
"""

import errno
import io
import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

import typer

from bench.cli.completion import REQUEST, whole_words
from bench.cli.main import app
from bench.cli.say import complain, show_traceback
from bench.cli.usage import usage_text
from bench.errors import BenchError


def main() -> NoReturn:
    """Run the command and exit with its code."""
    # A cancelled job gets SIGTERM, a closed terminal SIGHUP: end as cleanly as on Ctrl-C.
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # else it is ignored, as nohup has it
            signal.signal(number, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a letter that a terminal lacks ends nothing
    sys.exit(exit_code(sys.argv[1:]))


def exit_code(words: Sequence[str]) -> int:
    """Run a command line and return its exit code; "--debug" may stand anywhere in it."""
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        with whole_words(os.environ):
            code = app(words, prog_name="bench", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except (BrokenPipeError, SystemExit) as end:
        if REQUEST in os.environ and isinstance(end, SystemExit):  # a shell's, which is answered
            return end.code if isinstance(end.code, int) else 0
        # The reader has seen enough (| head), which Rich tells by SystemExit.
        _drop_output()
        return 0
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except Exception as error:
        if debug:
            show_traceback()
        return _failed(error)


def _drop_output() -> None:
    """Python would try to write what is left once more as it exits, and exit with 120."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        _drop_output()
        return "the output cannot be written: the disk is full: free space", 5
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}: make it readable and writable", 5
    if isinstance(error, MemoryError) or "failed to map segment" in str(error):
        return "no memory for a library of its own: raise the limit (ulimit -v, memory.max)", 2
    reason = " ".join(str(error).split())
    return f"unexpected {type(error).__name__}: {reason}: add --debug, and report what it says", 5
