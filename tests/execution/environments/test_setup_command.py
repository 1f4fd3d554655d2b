"""A setup command ends in time, its output is kept, and nothing of it is left."""

import contextlib
import os
import re
from pathlib import Path

import psutil
import pytest

from bench.errors import ResourceError
from bench.execution.environments.setup_command import run_setup
from tests.support.processes import wait_until_gone


def test_it_runs_in_the_folder_with_its_variables_and_its_output_is_returned(
    tmp_path: Path,
) -> None:
    output = run_setup('pwd; echo "$ADDED" >&2', tmp_path, {**os.environ, "ADDED": "yes"}, 60.0)
    assert output == f"{tmp_path}\nyes\n"


@pytest.mark.parametrize(
    ("command", "seconds", "reason"),
    [
        ("echo one; echo two >&2; exit 3", 60.0, "setup exited with code 3: two"),
        ("kill -SEGV $$", 60.0, "setup was killed by SIGSEGV"),
        ("sleep 600", 0.1, "setup did not end within 0.1 s: raise setup_timeout_s"),
    ],
)
def test_a_failure_is_refused_with_its_reason(
    command: str, seconds: float, reason: str, tmp_path: Path
) -> None:
    with pytest.raises(ResourceError, match=re.escape(reason)) as refused:
        run_setup(command, tmp_path, os.environ, seconds)
    assert refused.value.__notes__ == ["one\ntwo" if "one" in command else "It printed nothing."]


def test_what_it_has_started_ends_with_it(tmp_path: Path) -> None:
    output = run_setup("sleep 600 & echo $!", tmp_path, os.environ, 60.0)
    with contextlib.suppress(psutil.NoSuchProcess):
        wait_until_gone([psutil.Process(int(output))])
