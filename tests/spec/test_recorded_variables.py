"""Only variables that change speed are recorded with their values; no secret is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.spec.recorded_variables import FAMILIES, VARIABLES, recorded_values


def test_variables_that_change_speed_are_kept() -> None:
    kept = {"TF_XLA_FLAGS": "a", "OMP_NUM_THREADS": "2", "NCCL_P2P_DISABLE": "1", "XLA_FLAGS": ""}
    assert recorded_values(kept) == kept


@pytest.mark.parametrize(
    "name", ["AWS_SECRET_ACCESS_KEY", "NCCL_AUTH_TOKEN", "TF_CONFIG", "TF_API_TOKEN", "HOME"]
)
def test_secrets_and_addresses_are_not_kept(name: str) -> None:
    assert recorded_values({name: "x"}) == {}


_NAMES = st.one_of(
    st.text(min_size=1),
    st.sampled_from(sorted(VARIABLES)),
    st.builds(
        "".join, st.tuples(st.sampled_from(FAMILIES), st.sampled_from(["A", "KEY", "X_TOKEN"]))
    ),
)


@given(st.dictionaries(_NAMES, st.text()))
def test_exactly_the_listed_variables_are_recorded(every: dict[str, str]) -> None:
    kept = recorded_values(every)
    assert all(name in VARIABLES or name.startswith(FAMILIES) for name in kept)
    assert not any("KEY" in name or "TOKEN" in name for name in kept)
    assert kept.items() >= {(name, every[name]) for name in every.keys() & VARIABLES}
    assert kept.items() <= every.items()
