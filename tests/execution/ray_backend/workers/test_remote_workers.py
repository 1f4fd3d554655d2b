"""A trial whose workers are on two Ray nodes, beside trials on one: what ends it, and only it."""

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.support.paths import ROOT
from tests.support.processes import PATIENCE_S

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cases() -> dict[str, Any]:
    """The results of all cases, from one process."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.ray_gangs"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=4 * PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return results


def test_workers_of_two_holders_take_turns_with_other_arms_and_train_as_if_alone(
    cases: dict[str, Any],
) -> None:
    gang, *others = cases["completed"]["records"]
    assert [record["status"] for record in (gang, *others)] == ["completed"] * 4
    assert {record["turns"] for record in (gang, *others)} == {"window"}
    assert sorted(len(record["devices"]) for record in (gang, *others)) == [1, 1, 2, 2]
    (alone,) = cases["alone"]["records"]
    assert gang["weights"] == alone["weights"]
    assert alone["turns"] == "trial"


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("killed worker", "worker 1: its process was killed by SIGKILL"),
        ("killed holder", "worker 1: its process (pid "),
        ("lost node", "worker 1: "),
    ],
)
def test_what_ends_a_remote_worker_ends_its_arm_and_no_other(
    cases: dict[str, Any], case: str, reason: str
) -> None:
    gang, *others = cases[case]["records"]
    assert gang["status"] == "worker_lost"
    assert gang["error"].startswith(reason)
    assert "[worker 0]" in gang["tail"]
    assert gang["epochs"] >= 1
    assert [record["status"] for record in others] == ["completed"] * 2
    assert {record["turns"] for record in others} == {"window"}


def test_no_process_and_no_placement_group_is_left(cases: dict[str, Any]) -> None:
    for case in cases.values():
        assert (case["left"], case["groups"]) == ([], [])
