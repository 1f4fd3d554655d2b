"""Processes of their own that run on the counting CUDA stack."""

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
Holding = Callable[..., "contextlib.AbstractContextManager[subprocess.Popen[str]]"]

# XLA's choice among kernels takes most of a compilation, and moves no copy.
UNTUNED = {"XLA_FLAGS": "--xla_gpu_autotune_level=0"}


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
    return stack.environment(gpus, order, counters, folder / "memory")


@pytest.fixture(scope="session")
def epoch_pair(cuda_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> EpochPairs:
    """The short epoch and the long one of a case; all of a strategy's come from one process."""
    known: dict[str, list[MeasuredEpoch | NotMeasured]] = {}

    def pair(strategy: str, jit: str) -> EpochPair:
        if strategy not in known:
            folder = tmp_path_factory.mktemp("counts")
            known[strategy] = measure(
                cuda_stack, variants_of(strategy), REPLICAS[strategy], folder, UNTUNED
            )
        first = JITS[strategy].index(jit) * len(STEPS)
        short, long = known[strategy][first : first + len(STEPS)]
        assert isinstance(short, MeasuredEpoch), short
        assert isinstance(long, MeasuredEpoch), long
        return EpochPair(short, long)

    return pair
