"""Run a probe in a separate process, so that a crash there does not affect this one.

Usage:
    with probe_in_subprocess("bench.training.tensorflow_probe") as answer:
        ...                      # the probe works meanwhile
        reply = answer()         # its last line, parsed; {"error": ...} if there is none
    refused_xla_flags()          # why TensorFlow would end a process over its XLA flags

The process starts its own session, and none of its processes outlives the block: Ray's helpers
would otherwise stay for half a minute.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import IO, Any

from bench.execution.trial_environment.xla_flags import refused_flags
from bench.measure.host import kill_session
from bench.process_exit import describe_exit, last_line, signal_name
from bench.records.atomic_write import temporary_file

Reply = dict[str, Any]

TIMEOUT_S = 180.0


@contextlib.contextmanager
def probe_in_subprocess(
    module: str, *arguments: str, timeout_s: float = TIMEOUT_S
) -> Iterator[Callable[[], Reply]]:
    """Start ``python -m module arguments``; yield a function that waits for its reply.

    The reply is the JSON object on its last line. If there is none, the reply holds "error", and
    "signal" if a signal ended the process; "timed_out" if it did not end; "refused_flags" if a
    variable has XLA flags that it does not understand.
    """
    deadline = time.monotonic() + timeout_s
    # Files, not pipes: a helper that outlives the process would keep a pipe open.
    with temporary_file() as out, temporary_file() as err:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )

        def answer() -> Reply:
            try:
                code = process.wait(timeout=max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                return {"error": f"no answer within {timeout_s:g} s", "timed_out": True}
            return _parsed(last_line(out)) or _died(code, err)

        try:
            yield answer
        finally:
            kill_session(process)


def refused_xla_flags() -> str | None:
    """Return why TensorFlow rejects the XLA flags that are set here; a subprocess tries them."""
    if not any(os.environ.get(name) for name in ("XLA_FLAGS", "TF_XLA_FLAGS")):
        return None
    with probe_in_subprocess("bench.training.tensorflow_probe") as answer:
        reply = answer()
    return reply["error"] if reply.get("refused_flags") else None


def _parsed(line: str) -> Reply | None:
    try:
        reply = json.loads(line)
    except ValueError:
        return None
    return reply if isinstance(reply, dict) else None


def _died(code: int, stderr: IO[bytes]) -> Reply:
    stderr.seek(0)
    if flags := refused_flags(stderr.read().decode(errors="replace")):
        return {"error": flags, "refused_flags": True}
    reply: Reply = {"error": f"its process {describe_exit(code, stderr)}"}
    name = signal_name(code)
    return {**reply, "signal": name} if name else reply
