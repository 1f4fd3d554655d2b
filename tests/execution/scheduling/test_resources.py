"""What is asked of Ray: shares of cores that it never rounds up to more than there are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.execution.scheduling.resources import ResourceRequest, round_cores
from bench.spec.defaults import fill_defaults
from bench.spec.variant import Variant


@given(st.floats(1e-3, 512), st.integers(1, 64))
def test_shares_of_cores_are_together_no_more_than_there_are_as_ray_counts(
    cores: float, sharing: int
) -> None:
    share = round_cores(cores / sharing)
    assert round(share * 10_000) * sharing <= round(cores * 10_000)
    assert share == int(share) or share < 1


@pytest.mark.parametrize(
    ("cores", "granted"), [(2.9, 2.0), (0.5, 0.5), (0.3, 0.3), (2 / 3, 0.6666)]
)
def test_whole_cores_where_there_is_one(cores: float, granted: float) -> None:
    assert round_cores(cores) == granted


def test_three_workers_find_room_on_two_cores() -> None:
    asked = {"strategy": "multi_worker", "workers": 3, "global_batch_size": 96}
    cores = ResourceRequest(({"CPU": 2.0},), "PACK", ("a",)).cores_of(
        Variant.model_validate(fill_defaults(asked))
    )
    assert round(cores * 10_000) * 3 <= 2 * 10_000


def test_workers_in_a_bundle_have_a_slot_and_a_share_of_its_threads() -> None:
    def variant(**asked: object) -> Variant:
        workers = {"strategy": "multi_worker", "workers": 4, "global_batch_size": 64}
        return Variant.model_validate(fill_defaults({**workers, **asked}))

    whole = ResourceRequest(({"CPU": 8.0},), "PACK", ("a",))
    assert [whole.slot_of(variant(), worker) for worker in range(4)] == [0, 1, 2, 3]
    assert (whole.threads_of(variant()), whole.threads_of(variant(threads=1))) == (2, 1)
    cards = ResourceRequest(({"CPU": 8.0, "GPU": 4.0},) * 2, "PACK", ("a", "b"))
    assert [cards.slot_of(variant(replicas=2), worker) for worker in range(4)] == [0, 1, 0, 1]
    spread = variant(placement="spread")
    assert [whole.slot_of(spread, worker) for worker in range(4)] == [0, 0, 0, 0]


def test_a_request_describes_itself() -> None:
    bundle = {"GPU": 4.0, "CPU": 16.0}
    assert str(ResourceRequest((bundle, bundle), "PACK", ("a", "b"))) == "2 x (4 GPU, 16 CPU)"
