"""Processes of their own that run on the counting CUDA stack."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.cuda.stack import Stack

Evaluate = Callable[..., Any]
Holding = Callable[..., "contextlib.AbstractContextManager[subprocess.Popen[str]]"]


def run_python(code: str, env: Mapping[str, str]) -> str:
    """What ``code`` prints in a fresh process; fails where it raises."""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


@pytest.fixture
def evaluate(cuda_stack: Stack, tmp_path: Path) -> Evaluate:
    """Run code that leaves its answer in ``answer``, on the machine that variables describe.

    All processes of a test share the memory of its cards, and count in ``tmp_path/counts``.
    """

    def evaluated(code: str, gpus: int = 2, **variables: str) -> Any:
        program = f"import json\n{code}\nprint(json.dumps(answer))"
        return json.loads(run_python(program, _machine(cuda_stack, tmp_path, gpus, variables)))

    return evaluated


@pytest.fixture
def holding(cuda_stack: Stack, tmp_path: Path) -> Holding:
    """A process that holds memory of a card until it is killed, at the end at the latest."""

    @contextlib.contextmanager
    def held(device: int, size: int, gpus: int = 2) -> Iterator["subprocess.Popen[str]"]:
        code = (
            "import sys; from tests.cuda.driver import Driver; driver = Driver();"
            f"driver.use({device}); driver.allocate({size}); print('ready', flush=True);"
            "sys.stdin.read()"
        )
        with subprocess.Popen(
            [sys.executable, "-c", code],
            env=_machine(cuda_stack, tmp_path, gpus, {}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline() == "ready\n"
                yield process
            finally:
                process.kill()

    return held


def _machine(stack: Stack, folder: Path, gpus: int, variables: Mapping[str, str]) -> dict[str, str]:
    counters = folder / "counts"
    counters.mkdir(exist_ok=True)
    order = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", **variables}
    return stack.environment(gpus, counters, folder / "memory", **order)
