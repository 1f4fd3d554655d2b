"""How the workers of a trial find each other, from where their holders run."""

import dataclasses

import pytest

from bench.execution.ray_backend.workers.block_work import ArmWork, arm_work
from bench.execution.ray_backend.workers.holder_place import HolderPlace, peers_of
from bench.execution.ray_backend.workers.worker_location import WorkerLocation
from bench.execution.scheduling.resources import ResourceRequest
from bench.spec.plan import Trial, make_plan
from tests.support.gangs import gang_suite
from tests.support.sample_trials import trial_labelled

SPREAD = make_plan(gang_suite(placement="spread")).trials[0]
PACKED = make_plan(gang_suite()).trials[0]
ALONE = trial_labelled("alone")
TWO_NODES = ResourceRequest(({"CPU": 2.0},) * 2, "STRICT_SPREAD", ("a", "b"))


def place(number: int, *trials: Trial, address: str | None = None) -> HolderPlace:
    """The place of a holder, with a port for each worker of the trials."""
    host = f"192.0.2.{number}"
    location = WorkerLocation(f"node-{number}", "id", 1, host, address, "own.log", None)
    keys = [(trial.trial_id, worker) for trial in trials for worker in (0, 1)]
    return HolderPlace(location, dict.fromkeys(keys, "log"), dict.fromkeys(keys, 20_000 + number))


def arms(*trials: Trial) -> list[ArmWork]:
    return [arm_work(trial, TWO_NODES) for trial in trials]


def test_workers_are_in_the_holders_of_their_bundles() -> None:
    spread, packed, alone = arms(SPREAD, PACKED, ALONE)
    assert [tuple(slot) for slot in spread.slots] == [(0, 0), (1, 0)]
    assert [tuple(slot) for slot in packed.slots] == [(0, 0), (0, 1)]
    assert (spread.workers_of(1), packed.workers_of(1), alone.workers_of(1)) == ((1,), (), ())
    assert (spread.threads, packed.threads) == (2, 1)


def test_workers_of_one_holder_meet_on_loopback_and_others_on_the_named_network() -> None:
    places = [place(1, SPREAD, PACKED, address="10.0.0.1"), place(2, SPREAD, address="10.0.0.2")]
    peers = peers_of(arms(SPREAD, PACKED, ALONE), places)
    assert peers.addresses == {
        SPREAD.trial_id: ("10.0.0.1:20001", "10.0.0.2:20002"),
        PACKED.trial_id: ("127.0.0.1:20001", "127.0.0.1:20001"),
    }
    assert peers.unreachable == {}


@pytest.mark.parametrize("unprotected", [None, "ports cannot be protected here"])
def test_a_trial_whose_workers_cannot_meet_says_why_and_the_others_can(
    unprotected: str | None,
) -> None:
    second = dataclasses.replace(place(2, SPREAD), unprotected=unprotected)
    peers = peers_of(arms(SPREAD, PACKED), [place(1, SPREAD, PACKED), second])
    assert set(peers.addresses) == {PACKED.trial_id}
    failure = peers.unreachable[SPREAD.trial_id]
    assert failure.status == "failed"
    assert (unprotected or "--network") in failure.reason
