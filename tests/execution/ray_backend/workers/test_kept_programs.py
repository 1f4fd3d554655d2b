"""Trials of later blocks reuse compiled programs, and claim no cold start."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.execution.gpus.gpu_fitness import AcquiredGpus, GpuAllotment
from bench.execution.prepared_environment import PreparedEnvironment
from bench.execution.ray_backend.workers.held_devices import HeldDevices
from bench.execution.ray_backend.workers.kept_programs import KeptPrograms
from bench.execution.turns.held_arms import ArmSetup
from bench.records.measures import Measures
from bench.records.trial_record import TrialRecord
from tests.support.sample_trials import trial_labelled


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("TF_XLA_FLAGS", raising=False)
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def devices_of(uuids: tuple[str, ...] = ()) -> HeldDevices:
    devices = HeldDevices((), AcquiredGpus(), GpuAllotment(), least_cores=1)
    devices._acquired = AcquiredGpus(uuids, uuids)
    return devices


def completed_in(block: int, devices: HeldDevices) -> tuple[TrialRecord, ArmSetup]:
    """Return a record of that block as it leaves the holder, and what its process got.

    XLA keeps a program, if it may.
    """
    trial = trial_labelled("a").model_copy(update={"block": block})
    setup = devices.setup(trial, 1, Path("log"))
    record = TrialRecord(trial=trial, status="completed", measures=Measures(cold_start_s=2.0))
    with KeptPrograms(devices, [trial]) as programs:
        setup = programs.extend(setup)
        if setup.empty_folder:
            (setup.empty_folder / "xla_compile_cache_1.pb").touch()
        return programs.complete(record, setup), setup


def test_a_block_that_finds_no_programs_measures_the_cold_start() -> None:
    for block in (1, 0):  # a later one, for which nothing is kept yet, and the first
        record, setup = completed_in(block, devices_of())
        assert record.measures.cold_start_s == 2.0
        assert record.resolved["compiled_before"] is False
        assert setup.late_variables["TF_XLA_FLAGS"] == (
            f"--tf_xla_persistent_cache_directory={setup.empty_folder}"
        )


def test_the_second_block_finds_programs_and_has_no_cold_start() -> None:
    completed_in(0, devices_of())
    record, setup = completed_in(1, devices_of())
    assert record.measures.cold_start_s is None
    assert record.resolved["compiled_before"] is True
    assert setup.empty_folder is None
    assert "cache_directory" in (setup.late_variables["TF_XLA_FLAGS"] or "")


def test_programs_are_kept_by_the_tensorflow_that_compiles_them(tmp_path: Path) -> None:
    environments = {
        "other": PreparedEnvironment("other", tensorflow_build="2.18.0-abc"),
        "flags": PreparedEnvironment("flags", variables={"XLA_FLAGS": "--xla_a"}),
    }
    devices = HeldDevices((), AcquiredGpus(), GpuAllotment(environments=environments), 1)
    folders = set()
    trials = [
        trial_labelled("a"),
        *(trial_labelled("a", environment=name) for name in environments),
    ]
    later = [trial.model_copy(update={"block": 1}) for trial in trials]
    with KeptPrograms(devices, later) as programs:
        for trial in later:
            setup = programs.extend(devices.setup(trial, 1, tmp_path / "log"))
            folders.add((setup.late_variables["TF_XLA_FLAGS"] or "").split("=")[1])
    assert len(folders) == 3
    assert len([folder for folder in folders if "/tensorflow-2.18.0-" in folder]) == 1


def test_nothing_is_kept_of_gpus() -> None:
    record, setup = completed_in(1, devices_of(("GPU-1",)))
    assert record.measures.cold_start_s == 2.0
    assert record.resolved == {}
    assert "TF_XLA_FLAGS" not in setup.late_variables
