"""One arm trains at a time, in equal shares; whatever an arm does costs only its own trial."""

import contextlib
import dataclasses
import itertools
from collections import Counter, defaultdict
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.execution.executor import EpochEnd, Limits
from bench.execution.turns.arm_run import ArmStart, BlockEvent
from bench.execution.turns.coordinator import TurnSettings, run_block
from bench.records.trial_record import TrialRecord
from bench.spec.arm_order import williams_row_count
from bench.spec.turn_settings import TurnMode
from tests.support.simulated_arms import START_S, Fault, Machine, Script, SimulatedArm

LIMITS = Limits(trial_timeout_s=1000.0, stall_timeout_s=50.0)
WINDOWS = TurnSettings()
MODES: tuple[TurnMode, ...] = ("window", "epoch", "trial")
FAULTS: tuple[Fault, ...] = ("dies", "hangs", "fails", "returns early", "never ends")

healthy = st.builds(Script, windows=st.integers(1, 20), epochs=st.integers(1, 4))
faulty = st.builds(
    Script,
    windows=st.integers(1, 20),
    epochs=st.integers(1, 4),
    fault=st.sampled_from(FAULTS),
    at=st.integers(-1, 30),
)
growing = st.builds(
    Script,
    windows=st.integers(1, 20),
    epochs=st.integers(1, 4),
    fault=st.just("outgrows"),
    at=st.integers(0, 30),
)


def run(
    scripts: Sequence[Script],
    settings: TurnSettings = WINDOWS,
    limits: Limits = LIMITS,
    memory: int = 10_000,
) -> tuple[list[SimulatedArm], list[BlockEvent]]:
    machine = Machine(memory)
    arms = machine.arms(scripts)
    events = list(run_block(arms, settings, limits, machine.free_bytes, machine.clock))
    assert not machine.alive
    return arms, events


def records(events: Sequence[BlockEvent]) -> dict[str, TrialRecord]:
    found = [event for event in events if isinstance(event, TrialRecord)]
    assert len({record.trial.trial_id for record in found}) == len(found)
    return {record.trial.label: record for record in found}


def turns_of(record: TrialRecord) -> tuple[str, str | None]:
    return record.resolved["turns"], record.resolved.get("turns_reason")


@given(st.lists(healthy, min_size=2, max_size=7), st.sampled_from(MODES))
def test_every_arm_trains_all_its_windows_and_has_one_record(
    scripts: list[Script], mode: TurnMode
) -> None:
    arms, events = run(scripts, TurnSettings(mode=mode))
    assert {r.status for r in records(events).values()} == {"completed"}
    assert len(records(events)) == len(scripts)
    for arm in arms:
        windows = arm.script.windows
        assert [p for _, p in arm.trained] == [
            i // windows + i % windows / windows for i in range(windows * arm.script.epochs)
        ]


@given(st.lists(st.one_of(healthy, faulty), min_size=1, max_size=7), st.integers(0, 5))
def test_whatever_arms_do_each_has_one_record_and_the_others_complete(
    scripts: list[Script], seed: int
) -> None:
    arms, events = run(scripts, TurnSettings(seed=f"{seed}"))
    assert len(records(events)) == len(scripts)
    for arm in arms:
        script, status = arm.script, records(events)[arm.trial.label].status
        faults = script.fault and script.at < script.windows * script.epochs
        if script.fault == "returns early" and script.at == -1:
            faults = False  # before its first turn, an arm has none to return
        assert (status == "completed") == (not faults)


@given(st.lists(healthy, min_size=2, max_size=7))
def test_in_a_round_each_arm_trains_the_same_share_of_its_epoch(scripts: list[Script]) -> None:
    arms, _ = run(scripts)
    turns = [turn for _, turn in arms[0].machine.turns]
    ends = {turn.round: turn.epoch + turn.until_share for turn in turns}
    for arm in arms:
        for number, position in arm.trained:
            assert number is not None
            assert position < ends[number]
            assert number == 0 or position >= ends[number - 1]


@given(st.lists(healthy, min_size=2, max_size=7))
def test_an_arm_has_two_windows_in_a_turn_where_an_epoch_has_them(scripts: list[Script]) -> None:
    arms, _ = run([dataclasses.replace(script, epochs=3) for script in scripts])
    for arm in arms:
        timed = Counter(number for number, position in arm.trained if position >= 1)
        assert min(timed.values()) >= min(2, min(s.windows for s in scripts))


@given(st.integers(2, 7), st.integers(0, 2**31 - 1))
def test_over_full_cycles_of_rounds_the_order_of_arms_is_balanced(arms: int, seed: int) -> None:
    cycle = williams_row_count(arms)
    ran, _ = run([Script(windows=2, epochs=cycle)] * arms, TurnSettings("epoch", seed=f"{seed}"))
    rounds: dict[int | None, list[str]] = defaultdict(list)
    for label, turn in ran[0].machine.turns:
        rounds[turn.round].append(label)
    positions = Counter((p, arm) for row in rounds.values() for p, arm in enumerate(row))
    successions = Counter(p for row in rounds.values() for p in itertools.pairwise(row))
    assert set(positions.values()) == {cycle // arms}
    assert set(successions.values()) == {cycle // arms}
    assert len(successions) == arms * (arms - 1)


def test_turns_take_turn_s_or_more_once_an_epoch_has_been_timed() -> None:
    arms, _ = run([Script(windows=40, window_s=0.05)] * 2, TurnSettings(turn_s=0.4))
    warm = Counter(number for number, position in arms[0].trained if position < 1)
    timed = Counter(number for number, position in arms[0].trained if position >= 1)
    assert set(warm.values()) == {1}
    assert set(timed.values()) == {8}


def test_turns_of_epochs_are_whole_epochs_and_whole_trials_have_no_round() -> None:
    arms, _ = run([Script(windows=4)] * 3, TurnSettings("epoch"))
    assert [number for number, _ in arms[1].trained] == [0] * 4 + [1] * 4 + [2] * 4
    arms, events = run([Script(windows=4)] * 3, TurnSettings("trial"))
    assert {number for number, _ in arms[1].trained} == {None}
    assert len(arms[0].machine.turns) == 3
    assert turns_of(records(events)["0"]) == ("trial", "asked")


@pytest.mark.parametrize("pipeline", ["tfdata", "tfrecord"])
def test_a_pipeline_on_the_host_makes_turns_of_whole_epochs(pipeline: str) -> None:
    arms, events = run([Script(windows=4), Script(windows=4, pipeline=pipeline)])
    for arm in arms:
        assert [number for number, _ in arm.trained] == [0] * 4 + [1] * 4 + [2] * 4
    for record in records(events).values():
        assert record.resolved["turns"] == "epoch"
        (warning,) = record.warnings
        assert warning == (
            f"a turn was an epoch: {pipeline} would prepare batches in the turns of other arms"
        )
    _, events = run([Script(pipeline=pipeline)])
    assert records(events)["0"].warnings == ()


def test_an_arm_that_is_alone_takes_one_turn() -> None:
    (arm,), events = run([Script()])
    assert len(arm.machine.turns) == 1
    assert turns_of(records(events)["0"]) == ("trial", "alone")


def test_arms_that_are_tried_again_without_their_block_take_no_turns() -> None:
    _, events = run([Script()] * 2, TurnSettings(retried=True))
    assert {turns_of(r) for r in records(events).values()} == {("trial", "retried")}


def test_arms_that_take_turns_have_no_reason_against_it() -> None:
    _, events = run([Script()] * 2)
    assert {turns_of(r) for r in records(events).values()} == {("window", None)}


def test_an_arm_with_fewer_epochs_ends_first() -> None:
    _, events = run([Script(epochs=3), Script(epochs=1), Script(epochs=2)])
    ended = [event.trial.label for event in events if isinstance(event, TrialRecord)]
    assert ended == ["1", "2", "0"]
    epochs = Counter(event.trial_id for event in events if isinstance(event, EpochEnd))
    assert sorted(epochs.values()) == [1, 2, 3]


def test_the_time_limit_counts_only_an_arms_own_turns() -> None:
    own_s = START_S + 24 * 0.1
    enough = Limits(trial_timeout_s=own_s + 0.05)
    _, events = run([Script()] * 7, limits=enough)
    assert {r.status for r in records(events).values()} == {"completed"}
    assert records(events)["0"].wall_s == pytest.approx(own_s)
    _, events = run([Script(), Script(window_s=0.2)], limits=enough)
    assert [records(events)[label].status for label in "01"] == ["completed", "timed_out"]
    assert "raise trial_timeout_s" in str(records(events)["1"].error)
    assert records(events)["1"].epochs


def test_a_record_says_why_its_arm_ended() -> None:
    scripts = [Script(), *(Script(fault=fault, at=10) for fault in FAULTS)]
    ended = records(run(scripts)[1])
    assert [ended[f"{i}"].status for i in range(6)] == [
        *("completed", "worker_lost", "timed_out", "failed", "failed", "timed_out")
    ]
    assert ended["1"].error == "signal 9"
    assert "50 s without progress: raise stall_timeout_s" in str(ended["2"].error)
    assert "ended its turn at" in str(ended["4"].error)
    assert all(len(record.epochs) == 1 for label, record in ended.items() if label in "1245")


def test_a_trial_that_is_not_worth_trying_is_not_started() -> None:
    limits = Limits(
        trial_timeout_s=100.0, skip_reason=lambda trial: "too big" if trial.label == "1" else None
    )
    modes: tuple[TurnMode, ...] = ("window", "trial")
    for mode in modes:
        arms, events = run([Script()] * 3, TurnSettings(mode), limits)
        assert [arm.starts for arm in arms] == [1, 0, 1]
        assert records(events)["1"].error == "too big"
        assert records(events)["1"].status == "out_of_memory"
        assert records(events)["2"].status == "completed"


@given(st.lists(healthy, min_size=2, max_size=7), st.integers(1, 6))
def test_arms_that_memory_does_not_hold_at_once_train_one_after_another(
    scripts: list[Script], fit: int
) -> None:
    fit = min(fit, len(scripts) - 1)
    arms, events = run(scripts, memory=100 * fit + 120)
    assert {r.status for r in records(events).values()} == {"completed"}
    assert {turns_of(r) for r in records(events).values()} == {("trial", "memory")}
    (warning,) = {r.warnings[0] for r in records(events).values()}
    assert warning.startswith("the arms took no turns: another arm may need")
    assert all({number for number, _ in arm.trained} == {None} for arm in arms)
    starts = [event.trial.label for event in events if isinstance(event, ArmStart)]
    assert starts[-len(scripts) :] == [arm.trial.label for arm in arms]


def test_an_arm_that_runs_out_of_memory_beside_others_trains_alone() -> None:
    _, events = run([Script(), Script(), Script(out_of_memory_beside=2), Script()])
    assert {r.status for r in records(events).values()} == {"completed"}
    assert records(events)["2"].warnings == ("the arms took no turns: no room",)


def test_an_arm_that_runs_out_of_memory_alone_costs_only_itself() -> None:
    _, events = run([Script(out_of_memory_beside=0), Script(), Script()])
    ended = records(events)
    assert [ended[label].status for label in "012"] == ["out_of_memory", "completed", "completed"]
    assert {r.resolved["turns"] for r in ended.values()} == {"window"}


@given(st.lists(st.one_of(healthy, growing), min_size=2, max_size=5), st.integers(0, 5))
def test_an_arm_that_outgrows_memory_trains_after_those_that_hold_it(
    scripts: list[Script], seed: int
) -> None:
    arms, events = run(scripts, TurnSettings(seed=f"{seed}"))
    assert {r.status for r in records(events).values()} == {"completed"}
    for arm in arms:
        record = records(events)[arm.trial.label]
        assert arm.starts in (1, 2)
        assert turns_of(record) == (("trial", "memory") if arm.starts == 2 else ("window", None))
        assert bool(record.warnings) == (arm.starts == 2)
        if arm.starts == 2:
            assert {number for number, _ in arm.trained} == {None}


def test_the_record_of_an_arm_that_outgrew_memory_says_so_and_the_others_keep_their_turns() -> None:
    arms, events = run([Script(), Script(fault="outgrows", at=10), Script()])
    assert [arm.starts for arm in arms] == [1, 2, 1]
    assert [turns_of(records(events)[label]) for label in "012"] == [
        ("window", None),
        ("trial", "memory"),
        ("window", None),
    ]
    assert records(events)["1"].warnings == (
        "it trained alone after it ran out of memory beside others: no room",
    )


def test_a_process_that_does_not_end_costs_no_record() -> None:
    arms, events = run([Script(stuck=True, fault="hangs", at=4), Script(stuck=True), Script()])
    ended = records(events)
    assert [ended[label].status for label in "012"] == ["timed_out", "completed", "completed"]
    assert [ended[label].warnings for label in "012"] == [("its process still runs",)] * 2 + [()]
    assert not arms[0].machine.alive


@given(st.lists(st.one_of(healthy, faulty, growing), min_size=1, max_size=5), st.integers(0, 200))
def test_an_interrupt_leaves_each_started_arm_with_a_record_and_no_process(
    scripts: list[Script], at: int
) -> None:
    machine = Machine()
    run_of_block = run_block(
        machine.arms(scripts), TurnSettings(), LIMITS, machine.free_bytes, machine.clock
    )
    events = list(itertools.islice(run_of_block, at + 1))
    with contextlib.suppress(KeyboardInterrupt, StopIteration):
        events.append(run_of_block.throw(KeyboardInterrupt()))
        events.extend(run_of_block)
    assert not machine.alive
    started = {event.trial.label for event in events if isinstance(event, ArmStart)}
    assert set(records(events)) == started


def test_an_iterator_that_is_closed_leaves_no_process() -> None:
    machine = Machine()
    run_of_block = run_block(
        machine.arms([Script()] * 3), TurnSettings(), LIMITS, machine.free_bytes, machine.clock
    )
    list(itertools.islice(run_of_block, 10))
    assert len(machine.alive) == 3
    run_of_block.close()
    assert not machine.alive
