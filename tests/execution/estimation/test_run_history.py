"""Times of earlier runs are found by variant and device, and only plausible ones are used."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.execution.estimation import run_history
from bench.execution.estimation.run_history import MeasuredTime, measured_times, recent_runs
from bench.execution.gpus.device_kind import DeviceKind
from bench.files.folder import Folder
from bench.records.trial_record import TrialRecord
from bench.spec.plan import make_plan
from bench.spec.variant import Variant
from tests.support.sample_records import ENVIRONMENT, make_run
from tests.support.sample_suites import TINY, suite_of

HERE = DeviceKind("Model 1 CPU, 2 cores", is_gpu=False)
CARD = {"name": "NVIDIA L4", "uuid": "GPU-1", "memory_bytes": 24 * 10**9, "instances": []}
SUITE = {**TINY, "variant": {**TINY["variant"], "epochs": 4}}
PLAIN, NORMED = (cell.variant for cell in make_plan(suite_of(SUITE)).cells)

MakeRun = Callable[..., Path]


@pytest.fixture
def run_of(tmp_path: Path) -> MakeRun:
    """A run of ``SUITE`` with epochs of so many seconds, on node-1 as ENVIRONMENT describes it."""

    def make(
        name: str = "run",
        epoch_s: float = 0.5,
        repeats: int = 1,
        on_gpu: bool = False,
        **update: Any,
    ) -> Path:
        def changed(record: TrialRecord) -> TrialRecord:
            epochs = tuple(e.model_copy(update={"repeats": repeats}) for e in record.epochs)
            devices = ("GPU-1",) if on_gpu else record.devices
            return record.model_copy(update={"epochs": epochs, "devices": devices} | update)

        def seconds(_trial: Any, epoch: int) -> float:
            return 9.0 if epoch == 0 else epoch_s

        nodes = {"node-1": {**ENVIRONMENT["driver"], "gpus": [CARD]}}
        folder = make_run(
            tmp_path / name, SUITE, epoch_s=seconds, change=changed, environment=nodes
        )
        return folder.path

    return make


def epoch_time(
    *runs: Path, device: DeviceKind = HERE, variant: Variant = PLAIN
) -> MeasuredTime | None:
    return measured_times(runs, {variant.id: variant}, device).get(variant.id)


def test_a_variant_s_time_consists_of_its_steady_epochs_and_its_start(run_of: MakeRun) -> None:
    run = run_of(epoch_s=0.5)
    time = epoch_time(run)
    assert time is not None
    assert time.epoch_s == pytest.approx(0.5 + 0.02)  # with the validation
    # Of 4 s that a made trial takes besides its epochs, four validations are in theirs.
    assert time.start_s == pytest.approx(4.0 - 4 * 0.02)
    assert time.run == str(run)


def test_an_epoch_that_is_repeated_takes_the_time_of_all_repeats(run_of: MakeRun) -> None:
    time = epoch_time(run_of(epoch_s=0.5, repeats=3))
    assert time is not None
    assert time.epoch_s == pytest.approx(3 * 0.5 + 0.02)
    assert time.start_s == 0.0  # more than the made wall time


def test_trials_with_other_epochs_and_seeds_count_as_well(run_of: MakeRun) -> None:
    run = run_of()
    longer = make_plan(suite_of(SUITE, epochs=50)).cells[0].variant
    assert longer.id != PLAIN.id
    assert epoch_time(run, variant=longer) == epoch_time(run)
    other = make_plan(suite_of(SUITE, hidden=[17])).cells[0].variant
    assert epoch_time(run, variant=other) is None


def test_the_first_run_that_has_a_variant_gives_its_time(run_of: MakeRun, tmp_path: Path) -> None:
    new, old = run_of("new", 0.25), run_of("old", 0.5)
    assert epoch_time(tmp_path / "none", new, old) == epoch_time(new)
    assert epoch_time(old, new) == epoch_time(old)


def test_times_of_another_kind_of_device_are_ignored(run_of: MakeRun) -> None:
    on_cpu, on_gpu = run_of("cpu"), run_of("gpu", on_gpu=True)
    gpu = DeviceKind("NVIDIA L4", is_gpu=True)
    assert epoch_time(on_cpu, device=gpu) is None
    assert epoch_time(on_gpu, device=gpu) is not None
    assert epoch_time(on_gpu) is None
    assert epoch_time(on_gpu, device=DeviceKind("NVIDIA H200", is_gpu=True)) is None


@pytest.mark.parametrize(
    "update",
    [{"status": "failed"}, {"node": None}, {"node": "other"}, {"devices": ()}, {"invocation": 7}],
)
def test_an_incomplete_record_is_skipped(run_of: MakeRun, update: dict[str, Any]) -> None:
    assert epoch_time(run_of(**update)) is None


def test_damaged_files_are_skipped(run_of: MakeRun, tmp_path: Path) -> None:
    run = run_of()
    first, second = sorted((run / "trials").glob(f"*-{PLAIN.id}.json"))
    first.write_text("{")
    assert epoch_time(run) is not None
    second.unlink()
    os.mkfifo(second)  # who opened it would wait for ever
    assert epoch_time(run) is None
    (run / "run.json").write_text("[]")
    assert epoch_time(run, variant=NORMED) is None
    (tmp_path / "a file").write_text("")
    assert epoch_time(tmp_path / "a file") is None


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.sampled_from(["trial", "epochs", "wall_s", "devices", "node", "invocation"]), _JSON)
def test_invalid_values_in_a_record_never_give_a_time(
    run_of: MakeRun, tmp_path: Path, key: str, value: Any
) -> None:
    whole, run = tmp_path / "whole", tmp_path / "run"
    if not run.exists():
        run_of("whole"), run_of("run")
    for path in (whole / "trials").glob(f"*-{PLAIN.id}.json"):
        changed = json.loads(path.read_text()) | {key: value}
        (run / "trials" / path.name).write_text(json.dumps(changed))
    time = epoch_time(run)
    assert time is None or (time.epoch_s > 0 and time.start_s >= 0)


def test_the_number_of_files_read_is_limited(
    run_of: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of()
    read: list[str] = []
    real = run_history._read

    def reading(folder: Folder, name: str) -> dict[str, Any] | None:
        read.append(name)
        return real(folder, name)

    monkeypatch.setattr(run_history, "_read", reading)
    monkeypatch.setattr(run_history, "_MAX_RECORDS", 3)
    strangers = [make_plan(suite_of(SUITE, hidden=[w])).cells[0].variant for w in range(20, 40)]
    measured_times([run] * 10, {v.id: v for v in [PLAIN, *strangers]}, HERE)
    assert len([name for name in read if name != "run.json"]) == 3


def test_a_large_file_is_not_read(run_of: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_history, "_MAX_BYTES", 100)
    assert epoch_time(run_of()) is None


def test_recent_runs_are_the_newest_run_folders_first(run_of: MakeRun, tmp_path: Path) -> None:
    for age, name in enumerate(["a", "b", "c"]):
        os.utime(run_of(name) / "run.json", (1e9 - age, 1e9 - age))
    (tmp_path / "no run").mkdir()
    assert [path.name for path in recent_runs(tmp_path)] == ["a", "b", "c"]
    assert recent_runs(tmp_path / "none") == []
