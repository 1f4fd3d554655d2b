"""Start a process that runs ``serve`` of a module: a copy of this one, or a new interpreter.

Usage:
    pid = fork_process("bench.training.trial_process.child", connection.fileno(), close_files)
    pid = spawn_process("bench.training.trial_process.child", connection.fileno())

Each leads its own session and process group, and is killed when this process ends.
"""

import contextlib
import importlib
import os
import socket
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import bench.errors
from bench.files.module_finder import finder_code
from bench.protocol.message_stream import MessageStream
from bench.training.trial_process.parent_death import end_with_parent
from bench.training.trial_process.process_name import TRIAL_NAME, name_process

_SPAWNED = """
import sys; sys.path[:] = {path!r}
{finder}
from bench.training.trial_process.process_start import run_spawned; run_spawned()
"""
_PACKAGE = Path(bench.errors.__file__).parent


def fork_process(child: str, connection: int, close_files: Callable[[], None]) -> int:
    """Fork a process that serves ``connection``, and return its pid.

    It calls ``close_files`` first, which closes what it must not keep open.
    """
    parent = os.getpid()
    for output in (sys.stdout, sys.stderr):
        output.flush()
    with warnings.catch_warnings():
        # Python warns of every thread; `fork_safety` has checked them.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        code = 1
        try:
            end_with_parent(parent)
            os.setsid()
            close_files()
            code = _run(child, connection, forked=True)
        finally:
            # Never return into the parent's work.
            os._exit(code)
    return pid


def spawn_process(child: str, connection: int) -> int:
    """Start a new interpreter that serves ``connection``, and return its pid; the caller reaps."""
    finder = finder_code(_PACKAGE.name, _PACKAGE.parent)
    command = [sys.executable, "-P", "-c", _SPAWNED.format(path=sys.path, finder=finder), child]
    process = subprocess.Popen(
        [*command, str(connection), str(os.getpid())],
        pass_fds=[connection],
        start_new_session=True,
    )
    process.returncode = 0  # else Popen would reap it
    return process.pid


def run_spawned() -> None:
    """Run as a spawned process; its arguments are the module, the connection and the parent."""
    child, connection, parent = sys.argv[1:]
    end_with_parent(int(parent))
    os._exit(_run(child, int(connection), forked=False))


def _run(child: str, connection: int, *, forked: bool) -> int:
    """Run ``serve`` of the module ``child``, and return the process's exit code."""
    try:
        name_process(TRIAL_NAME)
        stream = MessageStream(socket.socket(fileno=connection))
        importlib.import_module(child).serve(stream, "fork" if forked else "spawn")
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        for output in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                output.flush()
    return 0
