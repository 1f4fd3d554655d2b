"""Blocks on real Ray nodes with logical GPUs, alone and beside somebody else's work."""

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.support.paths import ROOT
from tests.support.processes import PATIENCE_S
from tests.support.ray_on_nodes import PLACED


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.ray_on_nodes"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    cases: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return cases


@pytest.mark.slow
def test_bundles_are_where_the_scheduler_put_them_and_none_is_split(found: dict[str, Any]) -> None:
    chosen = found["pinned"]["chosen"]
    assert found["pinned"]["given"] == chosen
    # Two blocks of three GPUs leave one on each node: one of two waits, unlike in Ray's own sum.
    assert len(chosen) == 2
    assert chosen[0] != chosen[1]


@pytest.mark.slow
def test_devices_that_others_hold_are_waited_for_aloud_and_not_for_ever(
    found: dict[str, Any],
) -> None:
    case = found["in vain"]
    asked, free = "1 x (2 GPU, 2 CPU)", "2 x (1 GPU, 4 CPU)"
    assert case["waiting"] == [f"{asked} asked for, other work on the cluster leaves {free}"]
    assert case["status"] == "timed_out"
    assert case["error"] == (
        f"not run: in 3 s Ray had no room for {asked}; free are {free}: end other work on the "
        "cluster, or raise placement_timeout_s"
    )


@pytest.mark.slow
def test_devices_that_become_free_are_taken(found: dict[str, Any]) -> None:
    assert found["freed"]["error"] == PLACED
    assert len(found["freed"]["waiting"]) == 1


@pytest.mark.slow
def test_a_block_whose_node_others_hold_goes_to_another_that_they_do_not(
    found: dict[str, Any],
) -> None:
    assert found["moved"]["error"] == PLACED
    assert found["moved"]["waiting"] == []
