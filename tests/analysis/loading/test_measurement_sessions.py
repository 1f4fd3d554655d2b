"""Tests of when an invocation continues a session and when it starts a new one."""

import copy
from typing import Any

import pandas as pd
import pytest

from bench.analysis.loading.measurement_sessions import sessions, with_sessions
from bench.records.run_info import Invocation
from tests.support.sample_records import ENVIRONMENT

NO_TRIALS = pd.DataFrame({"invocation": [], "started_at": [], "wall_s": []})


def invocation(started_at: str, wall_s: float | None = 600.0, **driver: Any) -> Invocation:
    environment = copy.deepcopy(ENVIRONMENT)
    environment["driver"] |= driver
    return Invocation(
        started_at=started_at, executor="made", wall_s=wall_s, environment=environment
    )


FIRST = invocation("2026-01-01T00:00:00Z")


@pytest.mark.parametrize(
    ("started_at", "expected"),
    [
        ("2026-01-01T00:12:00Z", (0, 0)),
        ("2026-01-01T01:10:00Z", (0, 0)),  # an hour after the end, ten minutes in
        ("2026-01-01T01:10:01Z", (0, 1)),
        ("2026-01-01T02:12:00+02:00", (0, 0)),
    ],
)
def test_a_session_ends_an_hour_after_its_last_invocation(
    started_at: str, expected: tuple[int, ...]
) -> None:
    assert sessions([FIRST, invocation(started_at)], NO_TRIALS) == expected


@pytest.mark.parametrize(
    "changed",
    [
        {"cpu": {"model": "Model 2 CPU"}},
        {"packages": {"tensorflow": "2.22.0"}},
        {"source": {"commit": "fedcba9876543210", "dirty": False}},
        {"variables": {"OMP_NUM_THREADS": "1"}},
        {"gpus": [{"name": "A100", "uuid": "GPU-1"}]},
    ],
)
def test_changed_machine_software_or_source_starts_a_session(changed: dict[str, Any]) -> None:
    assert sessions([FIRST, invocation("2026-01-01T00:12:00Z", **changed)], NO_TRIALS) == (0, 1)


def test_momentary_load_starts_no_session() -> None:
    quiet = {**ENVIRONMENT["driver"]["cpu"], "load_average": [0.1, 0.2, 0.3]}
    busy = {**quiet, "load_average": [1.9, 0.4, 0.3]}
    invocations = [
        invocation("2026-01-01T00:00:00Z", cpu=quiet),
        invocation("2026-01-01T00:12:00Z", cpu=busy),
    ]
    assert sessions(invocations, NO_TRIALS) == (0, 0)


def test_lower_clock_starts_no_session_but_a_power_cap_does() -> None:
    def card(current_hz: int, power_cap_w: float) -> list[dict[str, Any]]:
        sm = {"current_hz": current_hz, "max_hz": 1_980_000_000}
        return [{"name": "A100", "state": {"sm": sm, "power_cap_w": power_cap_w}}]

    invocations = [
        invocation("2026-01-01T00:00:00Z", gpus=card(1_410_000_000, 400.0)),
        invocation("2026-01-01T00:12:00Z", gpus=card(210_000_000, 400.0)),
        invocation("2026-01-01T00:24:00Z", gpus=card(210_000_000, 250.0)),
    ]
    assert sessions(invocations, NO_TRIALS) == (0, 0, 1)


def test_other_nodes_start_a_session() -> None:
    node = ENVIRONMENT["driver"]
    first_node, second_node = (
        FIRST.model_copy(update={"environment": {**ENVIRONMENT, name: node}})
        for name in ("node-1", "node-2")
    )
    assert sessions([first_node, second_node, second_node], NO_TRIALS) == (0, 1, 1)


def test_killed_invocation_ends_with_its_last_trial() -> None:
    killed = invocation("2026-01-01T00:00:00Z", wall_s=None)
    trials = pd.DataFrame(
        {
            "invocation": [0, 0, 0],
            "started_at": ["2026-01-01T00:00:00Z", "2026-01-01T03:00:00Z", None],
            "wall_s": [60.0, 60.0, 60.0],
        }
    )
    resumed = invocation("2026-01-01T03:30:00Z")
    assert sessions([killed, resumed], trials) == (0, 0)
    assert sessions([killed, resumed], NO_TRIALS) == (0, 1)


def test_resumed_runs_form_one_session_and_a_late_one_another() -> None:
    starts = ["2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z", "2026-01-01T02:00:00Z"]
    invocations = [invocation(moment) for moment in (*starts, "2026-01-05T00:00:00Z")]
    assert sessions(invocations, NO_TRIALS) == (0, 0, 0, 1)


def test_trial_of_an_unknown_invocation_has_a_separate_session() -> None:
    trials = pd.DataFrame(
        {"invocation": [0, 1, 2, 7], "started_at": [None] * 4, "wall_s": [1.0] * 4}
    )
    invocations = [FIRST, invocation("2026-01-01T00:12:00Z"), invocation("2026-01-03T00:00:00Z")]
    assert with_sessions(trials, invocations)["session"].tolist() == [0, 0, 1, 10]
