"""Training copies no data over a bus: an epoch copies only at its start and its end.

Kernels compute nothing here, so losses are garbage and ignored.
"""

import pytest

from tests.cuda.arrangements import BATCH, CASES, REPLICAS, EpochPairs
from tests.cuda.counts import Counts

pytestmark = pytest.mark.slow

INDEX_BYTES = 8
EXAMPLE_BYTES = 28 * 28
READS_AN_EPOCH = 1
"""Most copies from a device to the host in an epoch: its sums, at its end."""
UPLOADS_AN_EPOCH = 1
"""Most copies from the host to a device: the indices of its only window."""

of_each_case = pytest.mark.parametrize(("strategy", "jit"), CASES)


@of_each_case
def test_a_step_copies_nothing_from_the_host(
    epoch_pair: EpochPairs, strategy: str, jit: str
) -> None:
    pair = epoch_pair(strategy, jit)
    assert pair.per_step("h2d_copies") == [0] * REPLICAS[strategy]
    assert max(pair.per_step("h2d_bytes")) <= BATCH * INDEX_BYTES


@of_each_case
def test_a_step_copies_nothing_to_the_host(epoch_pair: EpochPairs, strategy: str, jit: str) -> None:
    pair = epoch_pair(strategy, jit)
    assert pair.per_step("d2h_copies") == [0] * REPLICAS[strategy]
    assert pair.per_step("d2h_bytes") == [0] * REPLICAS[strategy]


@of_each_case
def test_an_epoch_is_one_upload_of_indices_and_one_read_of_sums(
    epoch_pair: EpochPairs, strategy: str, jit: str
) -> None:
    for device in epoch_pair(strategy, jit).long.epoch.devices:
        assert device.d2h_copies <= READS_AN_EPOCH
        assert device.h2d_copies <= UPLOADS_AN_EPOCH
        assert device.h2d_big_copies + device.d2h_big_copies == 0


@of_each_case
def test_the_host_does_not_wait_for_steps(epoch_pair: EpochPairs, strategy: str, jit: str) -> None:
    pair = epoch_pair(strategy, jit)
    assert pair.per_step("stream_syncs") == [0] * REPLICAS[strategy]
    assert pair.per_step("event_syncs") == [0] * REPLICAS[strategy]


@of_each_case
def test_no_example_moves_between_devices(epoch_pair: EpochPairs, strategy: str, jit: str) -> None:
    pair = epoch_pair(strategy, jit)
    extra_steps = pair.long.steps - pair.short.steps
    for device in range(REPLICAS[strategy]):
        growth = _from_others(pair.long.epoch, device) - _from_others(pair.short.epoch, device)
        # NCCL moves the gradients; a step's indices may be sliced on one device.
        assert growth / extra_steps < BATCH * INDEX_BYTES + EXAMPLE_BYTES


@pytest.mark.parametrize(("strategy", "jit"), [case for case in CASES if REPLICAS[case[0]] > 1])
def test_a_step_sums_over_replicas_with_one_nccl_call_on_each(
    epoch_pair: EpochPairs, strategy: str, jit: str
) -> None:
    assert epoch_pair(strategy, jit).per_step("collectives") == [1] * REPLICAS[strategy]


def _from_others(counts: Counts, device: int) -> int:
    return counts.into(device) - counts.devices[device].h2d_bytes
