"""A preloader that imports nothing heavy."""

import os
from collections.abc import Callable, Iterator

import pytest

from bench.execution.trial_processes.preloader_client import PreloaderClient
from bench.execution.trial_processes.trial_process import TrialProcess
from tests.support.paths import ROOT
from tests.support.scripted_child import start_trial

CHILD = "tests.support.scripted_child"


@pytest.fixture(scope="session")
def preloader() -> Iterator[PreloaderClient]:
    with PreloaderClient(modules=(), child=CHILD, folder=ROOT) as client:
        yield client


@pytest.fixture
def start(preloader: PreloaderClient) -> Iterator[Callable[[str], TrialProcess]]:
    """A function that starts a process, which performs an action of ``scripted_child``."""
    started: list[TrialProcess] = []

    def begin(action: str) -> TrialProcess:
        process = preloader.start()
        started.append(process)
        nothing = os.open(os.devnull, os.O_RDWR)
        process.send(start_trial(action), [nothing, nothing])
        os.close(nothing)
        return process

    yield begin
    for process in started:
        process.close()
