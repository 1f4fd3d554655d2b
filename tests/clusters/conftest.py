"""Start a laptop and two machines with ssh servers, shared by all tests that use them."""

from collections.abc import Iterator, Sequence

import pytest

from tests.cluster.missing_packages import MACHINES, missing
from tests.clusters.machines import Machine, machines

Site = tuple[Machine, Sequence[Machine]]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A laptop, and two machines that it reaches by ssh."""
    if reason := missing(MACHINES):
        pytest.skip(reason)
    with machines(tmp_path_factory.mktemp("site"), 2) as laptop_and_machines:
        yield laptop_and_machines
