"""When a call of ``bench run`` goes on with the session before it, and when it begins one."""

import copy
from typing import Any

import pandas as pd
import pytest

from bench.analysis.loading.measurement_sessions import sessions, with_sessions
from bench.records.run_folder import Invocation
from tests.support.sample_records import ENVIRONMENT

NO_TRIALS = pd.DataFrame({"invocation": [], "started_at": [], "wall_s": []})


def call(started_at: str, wall_s: float | None = 600.0, **driver: Any) -> Invocation:
    environment = copy.deepcopy(ENVIRONMENT)
    environment["driver"] |= driver
    return Invocation(
        started_at=started_at, executor="made", wall_s=wall_s, environment=environment
    )


FIRST = call("2026-01-01T00:00:00Z")


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
    assert sessions([FIRST, call(started_at)], NO_TRIALS) == expected


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
def test_other_machines_software_or_source_begin_a_session(changed: dict[str, Any]) -> None:
    assert sessions([FIRST, call("2026-01-01T00:12:00Z", **changed)], NO_TRIALS) == (0, 1)


def test_what_an_environment_says_of_the_moment_begins_none() -> None:
    quiet = {**ENVIRONMENT["driver"]["cpu"], "load_average": [0.1, 0.2, 0.3]}
    busy = {**quiet, "load_average": [1.9, 0.4, 0.3]}
    calls = [call("2026-01-01T00:00:00Z", cpu=quiet), call("2026-01-01T00:12:00Z", cpu=busy)]
    assert sessions(calls, NO_TRIALS) == (0, 0)


def test_a_card_that_has_cooled_down_meanwhile_begins_none_and_a_power_cap_does() -> None:
    def card(current_hz: int, power_cap_w: float) -> list[dict[str, Any]]:
        sm = {"current_hz": current_hz, "max_hz": 1_980_000_000}
        return [{"name": "A100", "state": {"sm": sm, "power_cap_w": power_cap_w}}]

    calls = [
        call("2026-01-01T00:00:00Z", gpus=card(1_410_000_000, 400.0)),
        call("2026-01-01T00:12:00Z", gpus=card(210_000_000, 400.0)),
        call("2026-01-01T00:24:00Z", gpus=card(210_000_000, 250.0)),
    ]
    assert sessions(calls, NO_TRIALS) == (0, 0, 1)


def test_other_nodes_begin_a_session() -> None:
    node = ENVIRONMENT["driver"]
    there, elsewhere = (
        FIRST.model_copy(update={"environment": {**ENVIRONMENT, name: node}})
        for name in ("node-1", "node-2")
    )
    assert sessions([there, elsewhere, elsewhere], NO_TRIALS) == (0, 1, 1)


def test_where_an_invocation_was_killed_its_last_trial_says_when_it_ended() -> None:
    killed = call("2026-01-01T00:00:00Z", wall_s=None)
    trials = pd.DataFrame(
        {
            "invocation": [0, 0, 0],
            "started_at": ["2026-01-01T00:00:00Z", "2026-01-01T03:00:00Z", None],
            "wall_s": [60.0, 60.0, 60.0],
        }
    )
    resumed = call("2026-01-01T03:30:00Z")
    assert sessions([killed, resumed], trials) == (0, 0)
    assert sessions([killed, resumed], NO_TRIALS) == (0, 1)


def test_a_chain_of_resumed_runs_is_one_session_and_a_return_later_another() -> None:
    starts = ["2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z", "2026-01-01T02:00:00Z"]
    calls = [call(moment) for moment in (*starts, "2026-01-05T00:00:00Z")]
    assert sessions(calls, NO_TRIALS) == (0, 0, 0, 1)


def test_trials_have_the_session_of_their_invocation_one_unknown_its_own() -> None:
    trials = pd.DataFrame(
        {"invocation": [0, 1, 2, 7], "started_at": [None] * 4, "wall_s": [1.0] * 4}
    )
    calls = [FIRST, call("2026-01-01T00:12:00Z"), call("2026-01-03T00:00:00Z")]
    assert with_sessions(trials, calls)["session"].tolist() == [0, 0, 1, 10]
