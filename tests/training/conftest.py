"""TensorFlow set up once for all of these tests."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def _configured(configured_tensorflow: None) -> None:
    pass
