"""The data set is where its readers are: all of it on each replica's device before an epoch."""

import pytest

from tests.cuda.arrangements import CASES, REPLICAS, EpochPairs


@pytest.mark.slow
@pytest.mark.parametrize(("strategy", "jit"), CASES)
def test_every_device_is_given_the_whole_data_set_before_the_epoch(
    epoch_pair: EpochPairs, strategy: str, jit: str
) -> None:
    found = epoch_pair(strategy, jit).short
    for device in range(REPLICAS[strategy]):
        assert found.feed.into(device) + found.cold_start.into(device) >= found.data_bytes


@pytest.mark.parametrize(("strategy", "jit"), CASES)
def test_no_device_is_given_it_twice(epoch_pair: EpochPairs, strategy: str, jit: str) -> None:
    found = epoch_pair(strategy, jit).short
    for device in range(REPLICAS[strategy]):
        assert found.feed.into(device) + found.cold_start.into(device) < 1.5 * found.data_bytes
