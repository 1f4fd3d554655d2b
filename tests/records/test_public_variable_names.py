"""Only documented names of environment variables are published."""

import pytest

from bench.records.public_variable_names import VARIABLE_NAME, VARIABLE_NAMES
from bench.spec.recorded_variables import FAMILIES, VARIABLES


def test_every_variable_that_is_recorded_by_name_is_public() -> None:
    assert VARIABLES <= VARIABLE_NAMES


@pytest.mark.parametrize("family", FAMILIES)
def test_variables_of_each_family_are_public(family: str) -> None:
    assert any(name.startswith(family) for name in VARIABLE_NAMES)


@pytest.mark.parametrize(
    "name", ["TF_ANN_SECRET", "NCCL_ACME_CLUSTER", "RAY_ANN", "OMP_NUM_THREADS_ANN", "TF_CONFIG"]
)
def test_an_undocumented_variable_is_not_public(name: str) -> None:
    assert VARIABLE_NAME.fullmatch(name) is None
