"""The measurements of turns train what they say, and their rows are complete."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.records.run_folder import RunFolder
from docs.generate.turn_measurements import START_TITLES
from docs.generate.turn_modes import LOADED, MODES, folder_name, turn_modes
from tests.perf.busy_process import busy_process
from tests.perf.readiness import measure_starts
from tests.perf.turn_mode_runs import publish_modes, run_modes
from tests.perf.turns_and_alone import measure_blocks
from tests.support.sample_suites import TINY
from tests.support.sample_trials import trial_labelled

FOLDERS = {folder_name(mode, loaded): mode for mode in MODES for loaded in LOADED}
SMALL: dict[str, Any] = {
    **TINY,
    "variant": {**TINY["variant"], "examples": 6400, "jit": "none"},
    "matrix": {"global_batch_size": [8, 16], **TINY["matrix"]},
}


def test_each_block_of_a_mode_runs_once_without_load_and_once_with_it(tmp_path: Path) -> None:
    loads: list[int] = []

    @contextlib.contextmanager
    def load() -> Iterator[None]:
        loads.append(len(list(tmp_path.glob("*/trials/*.json"))))
        yield

    arms = 2
    run_modes(TINY, tmp_path, 1, "simulated", load)
    run_modes(TINY, tmp_path, 2, "simulated", load)
    assert loads == [3 * arms, 6 * arms, 9 * arms]  # the records from before each load
    for name, mode in FOLDERS.items():
        folder = RunFolder.open(tmp_path / name)
        assert (folder.suite().turns, folder.suite().blocks) == (mode, 2)
        assert len(list(folder.records())) == 2 * arms


@pytest.mark.slow
def test_published_runs_give_the_same_table_and_say_what_load_they_had(tmp_path: Path) -> None:
    run_modes(TINY, tmp_path / "runs", 3, "simulated", contextlib.nullcontext)
    publish_modes(tmp_path / "runs", tmp_path / "published")
    assert turn_modes(tmp_path / "published") == turn_modes(tmp_path / "runs")
    remarks = {
        name: RunFolder.open(tmp_path / "published" / name).info().remark for name in FOLDERS
    }
    assert {name for name, remark in remarks.items() if "busy" in remark} == {
        folder_name(mode, True) for mode in MODES
    }


def test_a_busy_process_ends_with_its_block() -> None:
    before = set(psutil.Process().children())
    with busy_process():
        (busy,) = set(psutil.Process().children()) - before
        assert busy.is_running()
    assert not busy.is_running()


@pytest.mark.slow
def test_the_records_of_a_mode_tell_how_its_arms_took_turns(tmp_path: Path) -> None:
    run_modes(TINY, tmp_path, 1, loaded=(False,))
    for mode in MODES:
        records = list(RunFolder.open(tmp_path / folder_name(mode, False)).records())
        assert [record.status for record in records] == ["completed"] * 2
        assert {record.resolved["turns"] for record in records} == {mode}


@pytest.mark.slow
def test_every_pair_has_an_epoch_in_turns_and_one_alone() -> None:
    rows = list(measure_blocks(SMALL, blocks=1, pairs=3))
    assert sorted({row.global_batch_size for row in rows}) == [8, 16]
    order = ["window", "trial", "trial", "window", "window", "trial"]
    for batch in (8, 16):
        of_batch = [row for row in rows if row.global_batch_size == batch]
        assert [row.pair for row in of_batch] == [0, 0, 1, 1, 2, 2]
        assert [row.turns for row in of_batch] == order
    for row in rows:
        assert row.epoch_s > 0
        assert (row.waited_s > 0) == (row.turns == "window")
        assert row.waiting_cpu_s <= row.waited_s


@pytest.mark.slow
def test_every_kind_of_start_is_timed_once_a_round() -> None:
    settings = {key: SMALL["variant"][key] for key in ("dataset", "shape", "examples", "hidden")}
    rows = list(measure_starts(trial_labelled("arm", **settings), rounds=1))
    assert sorted(row.start for row in rows) == sorted(START_TITLES)
    assert all(row.seconds > 0 for row in rows)
