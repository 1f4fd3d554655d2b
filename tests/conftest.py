"""What several rooms' tests need."""

from pathlib import Path

import pytest

from bench.datasets.fetch import fetch


@pytest.fixture(scope="session")
def fashion_mnist_dir() -> Path:
    """A folder with the real, checked data set; got once, by the project's own fetch."""
    return fetch()
