"""Fixtures that run processes on the counting CUDA stack."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.cuda.arrangements import JITS, REPLICAS, STEPS, EpochPair, EpochPairs, variants_of
from tests.cuda.measured_epoch import MeasuredEpoch, NotMeasured, measure
from tests.cuda.stack import Stack

Evaluate = Callable[..., Any]
OccupyGpu = Callable[..., "contextlib.AbstractContextManager[subprocess.Popen[str]]"]

# XLA's autotuning takes most of a compilation, and affects no copy.
UNTUNED = {"XLA_FLAGS": "--xla_gpu_autotune_level=0"}


def run_python(code: str, env: Mapping[str, str]) -> str:
    """Return what ``code`` prints in a fresh process; fail if it raises."""
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-4000:]
    return result.stdout


@pytest.fixture
def evaluate(cuda_stack: Stack, tmp_path: Path) -> Evaluate:
    """Run code that assigns ``answer``, on the machine that variables describe.

    All processes of a test share the GPUs' memory, and count in ``tmp_path/counts``.
    """

    def evaluate_code(code: str, gpus: int = 2, **variables: str) -> Any:
        program = f"import json\n{code}\nprint(json.dumps(answer))"
        return json.loads(run_python(program, _machine(cuda_stack, tmp_path, gpus, variables)))

    return evaluate_code


@pytest.fixture
def occupied_gpu(cuda_stack: Stack, tmp_path: Path) -> OccupyGpu:
    """Run a process that occupies memory of a GPU until it is killed, at the latest at the end."""

    @contextlib.contextmanager
    def occupy(device: int, size: int, gpus: int = 2) -> Iterator["subprocess.Popen[str]"]:
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

    return occupy


def _machine(stack: Stack, folder: Path, gpus: int, variables: Mapping[str, str]) -> dict[str, str]:
    counters = folder / "counts"
    counters.mkdir(exist_ok=True)
    order = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", **variables}
    return stack.environment(gpus, order, counters, folder / "memory")


@pytest.fixture(scope="session")
def epoch_pair(cuda_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> EpochPairs:
    """Return the short and the long epoch of a case; one process measures all of a strategy."""
    measured: dict[str, list[MeasuredEpoch | NotMeasured]] = {}

    def pair(strategy: str, jit: str) -> EpochPair:
        if strategy not in measured:
            folder = tmp_path_factory.mktemp("counts")
            measured[strategy] = measure(
                cuda_stack, variants_of(strategy), REPLICAS[strategy], folder, UNTUNED
            )
        first = JITS[strategy].index(jit) * len(STEPS)
        short, long = measured[strategy][first : first + len(STEPS)]
        assert isinstance(short, MeasuredEpoch), short
        assert isinstance(long, MeasuredEpoch), long
        return EpochPair(short, long)

    return pair
