"""No data crosses a bus while training: an epoch's copies are those of its two ends.

Kernels compute nothing here, so losses are garbage and nobody looks at them.
"""

import pytest

from tests.cuda.arrangements import BATCH, CASES, REPLICAS, EpochPairs
from tests.cuda.counts import Counts

pytestmark = pytest.mark.slow

INDEX_BYTES = 8
EXAMPLE_BYTES = 28 * 28
READS_AN_EPOCH = 1
"""The most copies from a device to the host in an epoch: its sums, at its end."""
UPLOADS_AN_EPOCH = 1
"""The most copies from the host to a device: the indices of its only window."""

of_each_case = pytest.mark.parametrize(("strategy", "jit"), CASES)


@of_each_case
def test_a_step_copies_nothing_from_the_host(
    epoch_pair: EpochPairs, strategy: str, jit: str
) -> None:
    pair = epoch_pair(strategy, jit)
    assert pair.a_step("h2d_copies") == [0] * REPLICAS[strategy]
    assert max(pair.a_step("h2d_bytes")) <= BATCH * INDEX_BYTES


@of_each_case
def test_a_step_copies_nothing_to_the_host(epoch_pair: EpochPairs, strategy: str, jit: str) -> None:
    pair = epoch_pair(strategy, jit)
    assert pair.a_step("d2h_copies") == [0] * REPLICAS[strategy]
    assert pair.a_step("d2h_bytes") == [0] * REPLICAS[strategy]


@of_each_case
def test_an_epoch_is_one_upload_of_indices_and_one_read_of_sums(
    epoch_pair: EpochPairs, strategy: str, jit: str
) -> None:
    for device in epoch_pair(strategy, jit).long.epoch.devices:
        assert device.d2h_copies <= READS_AN_EPOCH
        assert device.h2d_copies <= UPLOADS_AN_EPOCH
        assert device.h2d_big_copies + device.d2h_big_copies == 0


@of_each_case
def test_the_host_waits_for_no_step(epoch_pair: EpochPairs, strategy: str, jit: str) -> None:
    pair = epoch_pair(strategy, jit)
    assert pair.a_step("stream_syncs") == [0] * REPLICAS[strategy]
    assert pair.a_step("event_syncs") == [0] * REPLICAS[strategy]


@of_each_case
def test_no_example_goes_from_one_device_to_another(
    epoch_pair: EpochPairs, strategy: str, jit: str
) -> None:
    pair = epoch_pair(strategy, jit)
    further = pair.long.steps - pair.short.steps
    for device in range(REPLICAS[strategy]):
        grown = _from_others(pair.long.epoch, device) - _from_others(pair.short.epoch, device)
        # The gradients go through NCCL; a step's indices may be cut up on one device.
        assert grown / further < BATCH * INDEX_BYTES + EXAMPLE_BYTES


@pytest.mark.parametrize(("strategy", "jit"), [case for case in CASES if REPLICAS[case[0]] > 1])
def test_a_step_sums_over_replicas_by_one_call_of_nccl_on_each(
    epoch_pair: EpochPairs, strategy: str, jit: str
) -> None:
    assert epoch_pair(strategy, jit).a_step("collectives") == [1] * REPLICAS[strategy]


def _from_others(counts: Counts, device: int) -> int:
    return counts.into(device) - counts.devices[device].h2d_bytes
