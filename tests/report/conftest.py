"""A simulated run, and its published folder."""

from pathlib import Path

import pytest

import bench
from bench.execution.simulated import SimulatedExecutor
from bench.records.trial_record import Status
from bench.report.publishing.publish import publish
from bench.spec.plan import Trial
from tests.support.sample_suites import TINY, suite_of


def lost_once(trial: Trial, attempt: int) -> Status:
    return "worker_lost" if trial.block == 0 and attempt == 1 else "completed"


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run in which some trials were retried."""
    path = tmp_path_factory.mktemp("run") / "run"
    return bench.run(suite_of(TINY), path, executor=SimulatedExecutor(status_of=lost_once)).path


@pytest.fixture(scope="session")
def folder(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return that run, published as "tiny". Tests must not change it."""
    return publish(run, "tiny", tmp_path_factory.mktemp("published"))
