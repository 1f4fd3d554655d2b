"""One Ray for all tests of this room that train in it: starting it takes seconds."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.observers import Log, observe
from tests.support.sample_suites import TINY, suite_of

if TYPE_CHECKING:
    from bench.execution.ray_backend.ray_executor import RayExecutor


@pytest.fixture(scope="session")
def ray_executor() -> "Iterator[RayExecutor]":
    """A Ray of this machine, on CPU cores."""
    from bench.execution.ray_backend.ray_executor import RayExecutor

    with RayExecutor(device="cpu") as executor:
        yield executor


@pytest.fixture(scope="session")
def ray_log(ray_executor: "RayExecutor") -> Log:
    """What Ray did with the tiny suite."""
    return observe(ray_executor, suite_of(TINY))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where a run folder is to be."""
    return tmp_path / "run"
