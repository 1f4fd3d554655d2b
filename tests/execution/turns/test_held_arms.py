"""The arms of a block share a preloader and their data, and each record has what its trial used."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.datasets.synthetic import make_synthetic
from bench.errors import HelperError
from bench.execution.executor import Limits
from bench.execution.prepared_environment import DEFAULT, PreparedEnvironment
from bench.execution.trial_processes.preloader_client import PreloaderClient
from bench.execution.turns import held_arms
from bench.execution.turns.arm_data import ArmData, MemoryShortageError, share
from bench.execution.turns.arm_run import ArmStart, BlockEvent
from bench.execution.turns.coordinator import TurnSettings, run_block
from bench.execution.turns.held_arms import ArmSetup, HeldArms, PreloaderProgram, start_failure
from bench.protocol.shared_arrays import SharedArrays
from bench.records.trial_record import TrialRecord
from tests.support.paths import ROOT
from tests.support.sample_trials import trial_labelled

LIMITS = Limits(trial_timeout_s=60.0, stall_timeout_s=60.0)
SCRIPTED = PreloaderProgram(modules=(), child="tests.support.scripted_child")
ARRAYS = make_synthetic((2, 2, 1), 2, 8)
DATA = ArmData("small", lambda: ARRAYS)


def setup(tmp_path: Path, action: str, **changes: Any) -> ArmSetup:
    trial = trial_labelled(action, hidden=[len(action)])
    return ArmSetup(trial, threads=1, log=tmp_path / f"{trial.trial_id}.log", **changes)


def run(setups: Sequence[ArmSetup], program: PreloaderProgram = SCRIPTED) -> list[BlockEvent]:
    with HeldArms(program) as held:
        arms = [held.arm(setup, DATA) for setup in setups]
        return list(run_block(arms, TurnSettings(), LIMITS, dict))


def records_of(events: Sequence[BlockEvent]) -> dict[str, TrialRecord]:
    return {e.trial.label: e for e in events if isinstance(e, TrialRecord)}


def test_each_record_has_what_its_trial_used_and_how_the_arms_took_turns(tmp_path: Path) -> None:
    events = run([setup(tmp_path, "turns"), setup(tmp_path, "turns:again")])
    assert [e.trial.label for e in events if isinstance(e, ArmStart)] == ["turns", "turns:again"]
    for record in records_of(events).values():
        measures = record.measures
        assert record.status == "completed"
        assert record.resolved["turns"] == "window"
        assert measures.total_s == record.wall_s
        assert measures.peak_rss_bytes is not None
        assert measures.cpu_s is not None


def test_the_first_record_has_the_import_that_all_share(tmp_path: Path) -> None:
    records = records_of(run([setup(tmp_path, "turns"), setup(tmp_path, "turns:again")]))
    first, second = sorted(
        (record.measures for record in records.values()), key=lambda each: each.import_s is None
    )
    assert first.import_s is not None
    assert (first.total_s or 0.0) > first.import_s
    assert second.import_s is None


def test_an_arm_that_dies_costs_only_its_own_trial(tmp_path: Path) -> None:
    records = records_of(run([setup(tmp_path, "signal:SIGKILL"), setup(tmp_path, "turns")]))
    lost = records["signal:SIGKILL"]
    assert (lost.status, lost.error) == ("worker_lost", "its process was killed by SIGKILL")
    assert records["turns"].status == "completed"


@pytest.mark.parametrize(
    ("words", "status", "reason"),
    [
        ("std::bad_alloc", "out_of_memory", "its process ran out of memory, according to its log"),
        ("goodbye", "worker_lost", "its process crashed with SIGABRT"),
    ],
)
def test_the_log_says_why_a_process_aborted(
    tmp_path: Path, words: str, status: str, reason: str
) -> None:
    (record,) = records_of(run([setup(tmp_path, f"abort:{words}")])).values()
    assert (record.status, record.error) == (status, reason)


def test_a_log_that_was_replaced_by_a_link_is_not_written(tmp_path: Path) -> None:
    arm = setup(tmp_path, "turns")
    arm.log.symlink_to(tmp_path / "private")
    (record,) = records_of(run([arm])).values()
    assert record.status == "failed"
    assert "its log cannot be opened" in (record.error or "")
    assert not (tmp_path / "private").exists()


def test_a_process_that_starts_again_finds_nothing_that_the_first_has_compiled(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "programs"
    folder.mkdir()
    with HeldArms(SCRIPTED) as held:
        arm = held.arm(setup(tmp_path, "turns", empty_folder=folder), DATA)
        for _ in range(2):
            arm.start()
            assert not list(folder.iterdir())
            (folder / "program").touch()
            arm.kill()


def test_arms_with_equal_variables_share_a_preloader_and_all_share_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clients: list[dict[str, str]] = []
    copies: list[SharedArrays] = []

    class Client(PreloaderClient):
        def __init__(self, **options: Any) -> None:
            clients.append(options["variables"])
            super().__init__(**options)

    def copy(data: ArmData) -> SharedArrays:
        copies.append(share(data))
        return copies[-1]

    monkeypatch.setattr(held_arms, "PreloaderClient", Client)
    monkeypatch.setattr(held_arms, "share", copy)
    one, two = {"OMP_NUM_THREADS": "1"}, {"OMP_NUM_THREADS": "2"}
    arms = [("turns", one), ("turns:b", two), ("turns:cc", one)]
    records = records_of(run([setup(tmp_path, name, variables=each) for name, each in arms]))
    assert clients == [one, two]
    assert len(copies) == 1
    assert {record.status for record in records.values()} == {"completed"}


def test_arms_of_another_interpreter_or_package_have_a_preloader_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clients: list[tuple[str | None, Path | None]] = []

    class Client(PreloaderClient):
        def __init__(self, **options: Any) -> None:
            clients.append((options["interpreter"], options["package"]))
            super().__init__(**options)

    monkeypatch.setattr(held_arms, "PreloaderClient", Client)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    python = PreparedEnvironment("python", interpreter=sys.executable)
    package = PreparedEnvironment("package", package=ROOT)
    arms = [DEFAULT, python, package, PreparedEnvironment("variables"), python]
    setups = [
        setup(tmp_path, f"turns:{'b' * number}", environment=environment)
        for number, environment in enumerate(arms)
    ]
    records = records_of(run(setups))
    assert clients == [(None, None), (sys.executable, None), (None, ROOT)]
    assert [record.status for record in records.values()] == ["completed"] * len(arms)


@pytest.mark.parametrize(
    ("module", "status", "reason"),
    [
        ("no_such_module", "failed", "no_such_module"),
        ("tests.support.killed_import", "worker_lost", "was killed by SIGKILL"),
    ],
)
def test_if_nothing_can_be_imported_the_failure_says_why(
    tmp_path: Path, module: str, status: str, reason: str
) -> None:
    with pytest.raises(HelperError) as raised:
        run([setup(tmp_path, "turns")], PreloaderProgram((module,), SCRIPTED.child))
    failure = start_failure(raised.value)
    assert failure.status == status
    assert reason in failure.reason


def test_if_memory_does_not_hold_the_data_the_failure_says_so() -> None:
    assert start_failure(OSError(28, "No space left on device")) == (
        "out_of_memory",
        "memory does not hold the data: No space left on device",
    )
    assert start_failure(MemoryShortageError("end other programs")) == (
        "out_of_memory",
        "end other programs",
    )
