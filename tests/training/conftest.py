"""TensorFlow set up once for all of these tests, as a trial in this process would."""

import pytest

from bench.measure.host import usable_cores
from bench.training import runtime
from tests.training_made import variant_of


@pytest.fixture(scope="session", autouse=True)
def _configured() -> None:
    # Threads cannot change once TensorFlow has run something.
    runtime.configure(variant_of(), usable_cores())
