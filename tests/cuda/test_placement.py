"""The entire data set is on each replica's device before an epoch."""

import pytest

from tests.cuda.arrangements import CASES, REPLICAS, EpochPairs


@pytest.mark.slow
@pytest.mark.parametrize(("strategy", "jit"), CASES)
def test_every_device_has_the_entire_data_set_before_the_epoch(
    epoch_pair: EpochPairs, strategy: str, jit: str
) -> None:
    measured = epoch_pair(strategy, jit).short
    for device in range(REPLICAS[strategy]):
        assert measured.feed.into(device) + measured.cold_start.into(device) >= measured.data_bytes


@pytest.mark.parametrize(("strategy", "jit"), CASES)
def test_no_device_receives_it_twice(epoch_pair: EpochPairs, strategy: str, jit: str) -> None:
    measured = epoch_pair(strategy, jit).short
    for device in range(REPLICAS[strategy]):
        assert (
            measured.feed.into(device) + measured.cold_start.into(device)
            < 1.5 * measured.data_bytes
        )
