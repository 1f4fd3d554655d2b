"""Blocks on real Ray nodes with logical GPUs, without and with other work on them."""

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.support.paths import ROOT
from tests.support.processes import PATIENCE_S
from tests.support.ray_on_nodes import PLACED


@pytest.fixture(scope="module")
def cases() -> dict[str, Any]:
    """The results of all cases, from one process."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.ray_on_nodes"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return results


@pytest.mark.slow
def test_bundles_are_where_the_scheduler_placed_them_and_none_is_split(
    cases: dict[str, Any],
) -> None:
    chosen = cases["pinned"]["chosen"]
    assert cases["pinned"]["given"] == chosen
    # Two blocks of three GPUs leave one GPU on each node: a block of two waits, although Ray counts
    # two free.
    assert len(chosen) == 2
    assert chosen[0] != chosen[1]


@pytest.mark.slow
def test_waiting_for_occupied_devices_is_reported_and_times_out(
    cases: dict[str, Any],
) -> None:
    case = cases["in vain"]
    asked, free = "1 x (2 GPU, 2 CPU)", "2 x (1 GPU, 4 CPU)"
    assert case["waiting"] == [f"needs {asked}, but other work on the cluster leaves only {free}"]
    assert case["status"] == "timed_out"
    assert case["error"] == (
        f"not run: waited 3 s for {asked}, while only {free} was free: end other work on the "
        "cluster, or raise placement_timeout_s"
    )


@pytest.mark.slow
def test_devices_that_become_free_are_used(cases: dict[str, Any]) -> None:
    assert cases["freed"]["error"] == PLACED
    assert len(cases["freed"]["waiting"]) == 1


@pytest.mark.slow
def test_a_block_moves_from_an_occupied_node_to_a_free_one(
    cases: dict[str, Any],
) -> None:
    assert cases["moved"]["error"] == PLACED
    assert cases["moved"]["waiting"] == []
