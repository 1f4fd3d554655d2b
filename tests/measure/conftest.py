"""Evaluate expressions in a process where NVML is a fake library."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Ask = Callable[..., Any]

_NAMES = {
    "cards": "FAKE_GPUS",
    "mig": "FAKE_MIG",
    "memory_bytes": "FAKE_GPU_MEMORY_BYTES",
    "held": "FAKE_CUDA_MEMORY",
}

_PROGRAM = """
import dataclasses, json
from bench.errors import BenchError
from bench.measure.environment import environment
from bench.measure.cpu_binding import *
from bench.measure.gpu import *
from bench.measure.gpu_occupancy import *
try:
    answer = {expression}
except BenchError as error:
    answer = {{"error": str(error), "exit_code": error.exit_code}}
print(json.dumps(answer, default=dataclasses.asdict))
"""


@pytest.fixture
def ask(fake_nvml: Path) -> Ask:
    """Evaluate an expression over ``bench.measure`` on a machine that ``fake`` describes.

    ``cards`` is the number of cards, ``mig`` the card that is split, ``memory_bytes`` the memory of
    each, ``held`` a table of what processes hold of it; any other is FAKE_NVML_<key>=value.
    """

    def evaluate(expression: str, library: bool = True, **fake: object) -> Any:
        variables = {_NAMES.get(key, f"FAKE_NVML_{key.upper()}"): str(fake[key]) for key in fake}
        path = {"LD_LIBRARY_PATH": str(fake_nvml)} if library else {}
        run = subprocess.run(
            [sys.executable, "-c", _PROGRAM.format(expression=expression)],
            env={**os.environ, **path, **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stderr
        return json.loads(run.stdout)

    return evaluate
