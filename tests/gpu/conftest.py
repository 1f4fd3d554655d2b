"""Tests for a machine with a real GPU (make test-gpu); skipped without one."""

import pytest

from bench.measure.gpu import Gpu, visible_gpus


@pytest.fixture(scope="session")
def cards() -> tuple[Gpu, ...]:
    """The GPUs that this process may use."""
    visible = visible_gpus(None)
    if not visible:
        pytest.skip("no GPU here")
    return visible
