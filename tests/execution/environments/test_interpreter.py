"""An interpreter that cannot train is refused by name; one that can says with what."""

import json
import os
import sys
from pathlib import Path

import pytest

import bench.errors
from bench.errors import ResourceError
from bench.execution.environments.interpreter import check_interpreter
from bench.protocol.messages import PROTOCOL
from bench.training.interpreter_probe import tensorflow_build

GOOD = {
    "python": "3.12.1",
    "tensorflow": "2.18.0",
    "keras": "3.6.0",
    "numpy": "2.0.1",
    "build": "2.18.0-abc",
    "protocol": PROTOCOL,
}


def answering(path: Path, script: str) -> str:
    """Return an interpreter that runs a shell script instead of Python."""
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def saying(path: Path, **changes: object) -> str:
    return answering(path, f"echo '{json.dumps({**GOOD, **changes})}'")


def test_an_interpreter_says_what_it_has(tmp_path: Path) -> None:
    found = check_interpreter(saying(tmp_path / "python"), None, os.environ)
    assert found.versions.items() < GOOD.items()
    assert found.versions.keys() == {"python", "tensorflow", "keras", "numpy"}
    assert found.build == "2.18.0-abc"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"tensorflow": "2.17.1"}, "has tensorflow 2.17.1: install 2.18 or newer there"),
        ({"keras": "2.15.0"}, "has keras 2.15.0: install 3.0 or newer there"),
        ({"error": "Python 3.11 or newer is needed"}, "cannot train .Python 3.11 or newer"),
        ({"error": "ModuleNotFoundError: No module named 'pydantic'"}, "cannot train .*pydantic"),
        ({"protocol": 1}, f"speaks protocol 1, this one {PROTOCOL}: name a revision"),
    ],
)
def test_one_that_cannot_train_is_refused_by_name(
    changes: dict[str, object], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(ResourceError, match=reason):
        check_interpreter(saying(tmp_path / "python", **changes), None, os.environ)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("exit 3", "gave no answer, but exited with code 3: name another Python"),
        ("kill -ILL $$", "gave no answer, but was killed by SIGILL"),
        ("echo 5", "gave no answer, but exited with code 0"),
    ],
)
def test_what_is_no_python_is_refused(script: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match=reason):
        check_interpreter(answering(tmp_path / "python", script), None, os.environ)


def test_a_file_that_cannot_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="cannot be started"):
        check_interpreter(str(tmp_path / "python"), None, os.environ)


def test_this_interpreter_can_train_with_its_own_tensorflow() -> None:
    package = Path(bench.errors.__file__).parent.parent
    found = check_interpreter(None, package, os.environ)
    assert found.build == tensorflow_build()
    assert found.versions["python"] == ".".join(map(str, sys.version_info[:3]))


def test_an_older_package_is_refused_and_not_replaced_by_this_one(tmp_path: Path) -> None:
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "__init__.py").touch()
    with pytest.raises(ResourceError, match=r"its revision is too old .*'bench\.protocol'"):
        check_interpreter(None, tmp_path, os.environ)
