"""What several rooms' tests need."""

import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from bench.datasets.fetch import fetch
from tests.cuda.stack import Stack, build, subset

# How long an example takes says more of what else the machine does than of the code.
settings.register_profile("bench", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("bench")

# A shell has what it runs in the background ignore Ctrl-C, which every child then inherits.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def fashion_mnist_dir() -> Path:
    """A folder with the real, checked data set; got once, by the project's own fetch."""
    return fetch()


@pytest.fixture(scope="session")
def configured_tensorflow() -> None:
    """TensorFlow set up as a trial would, before anything in this process makes it run."""
    from bench.measure.host import usable_cores
    from bench.training import runtime
    from tests.support.training_setup import variant_of

    # Threads cannot change once TensorFlow has run something.
    runtime.configure(variant_of(), usable_cores())


@pytest.fixture(scope="session")
def cuda_stack(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """A whole CUDA stack that counts and computes nothing."""
    return build(tmp_path_factory.mktemp("cuda"))


@pytest.fixture(scope="session")
def fake_nvml(cuda_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a library in NVML's place, which answers as FAKE_* variables say."""
    folder = tmp_path_factory.mktemp("nvml")
    return subset(cuda_stack, folder, ["libnvidia-ml.so.1"]).folder
