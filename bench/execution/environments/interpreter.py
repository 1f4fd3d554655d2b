"""Find out whether an interpreter can train, and with what.

Usage:
    found = check_interpreter("/venv/bin/python", None, environ)      # ResourceError if it cannot
    found.versions["tensorflow"], found.build
"""

import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bench.training
from bench.errors import ResourceError
from bench.execution.python_command import script_under
from bench.measure.host import kill_session
from bench.process_exit import describe_exit, last_line
from bench.protocol.messages import PROTOCOL
from bench.records.atomic_write import temporary_file

_PROBE = Path(bench.training.__file__).parent / "interpreter_probe.py"
_TIMEOUT_S = 180.0
"""Reading TensorFlow from a slow disk may take a minute."""
_VERSIONS = ("python", "tensorflow", "keras", "numpy")
_MAX_REASON = 200
_OLDEST = {"tensorflow": (2, 18), "keras": (3, 0)}


@dataclass(frozen=True)
class Interpreter:
    """What a trial finds under an interpreter."""

    versions: Mapping[str, str]
    """Of Python, TensorFlow, Keras and NumPy."""
    build: str
    """Identifies its TensorFlow."""


def check_interpreter(
    interpreter: str | None, package: Path | None, environ: Mapping[str, str]
) -> Interpreter:
    """Return what ``interpreter`` has if trials can run under it, else raise ResourceError.

    It is None for this one. ``package`` is the folder of its ``bench``, None for this process's.
    """
    answer = _probe(interpreter, package, environ)
    where = interpreter or "this interpreter"
    for name, oldest in _OLDEST.items():
        version = answer.get(name)
        if version is not None and _parts(version) < oldest:
            needed = ".".join(map(str, oldest))
            raise ResourceError(f"{where} has {name} {version}: install {needed} or newer there")
    protocol, error = answer.get("protocol"), answer.get("error")
    if protocol not in (None, PROTOCOL):
        raise ResourceError(
            f"the package bench of its revision speaks protocol {protocol}, this one {PROTOCOL}: "
            "name a revision with the same one"
        )
    if error and package is not None and "'bench" in error:
        raise ResourceError(f"its revision is too old for this one ({error}): name another")
    if error:
        raise ResourceError(
            f"{where} cannot train ({error}): install TensorFlow 2.18 or newer and pydantic there"
        )
    return Interpreter({name: answer[name] for name in _VERSIONS}, answer["build"])


def _probe(
    interpreter: str | None, package: Path | None, environ: Mapping[str, str]
) -> dict[str, Any]:
    command = script_under(interpreter, package, _PROBE.read_text(encoding="utf-8"))
    with temporary_file() as out, temporary_file() as err:
        try:
            process = subprocess.Popen(
                command,
                cwd="/",
                env={**environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        except OSError as error:
            raise ResourceError(f"{command[0]} cannot be started: {error.strerror}") from None
        try:
            code = process.wait(_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise ResourceError(f"{command[0]} did not answer within {_TIMEOUT_S:g} s") from None
        finally:
            kill_session(process)
        try:
            answer = json.loads(last_line(out))
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            reason = describe_exit(code, err)[:_MAX_REASON]
            raise ResourceError(f"{command[0]} gave no answer, but {reason}: name another Python")
    return answer


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])
