"""Which names of environment variables are published."""

import pytest

from bench.measure.environment import FAMILIES, VARIABLES
from bench.records.variable_names import VARIABLE_NAME, VARIABLE_NAMES


def test_each_that_is_recorded_by_name_is() -> None:
    assert VARIABLES <= VARIABLE_NAMES


@pytest.mark.parametrize("family", FAMILIES)
def test_some_of_each_family_are(family: str) -> None:
    assert any(name.startswith(family) for name in VARIABLE_NAMES)


@pytest.mark.parametrize(
    "name", ["TF_ANN_SECRET", "NCCL_ACME_CLUSTER", "RAY_ANN", "OMP_NUM_THREADS_ANN", "TF_CONFIG"]
)
def test_one_that_no_library_documents_is_not(name: str) -> None:
    assert VARIABLE_NAME.fullmatch(name) is None
