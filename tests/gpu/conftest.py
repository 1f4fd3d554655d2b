"""Tests for a machine with a real GPU (make test-gpu): they are skipped where there is none."""

import pytest

from bench.measure.gpu import Gpu, visible_gpus


@pytest.fixture(scope="session")
def cards() -> tuple[Gpu, ...]:
    """The GPUs that this process may use."""
    found = visible_gpus(None)
    if not found:
        pytest.skip("no GPU here")
    return found
