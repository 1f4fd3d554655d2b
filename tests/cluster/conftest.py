"""Provide two nodes for the tests of this folder."""

from collections.abc import Iterator

import pytest

from tests.cluster.missing_packages import NODES, missing
from tests.cluster.nodes import Node, cable


@pytest.fixture
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Node, Node]]:
    """A head and another node, without Ray."""
    if reason := missing(NODES):
        pytest.skip(reason)
    # A socket's path has at most 107 letters.
    with cable(tmp_path_factory.mktemp("n")) as joined:
        yield joined
