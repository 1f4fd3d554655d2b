"""What is published can be read as a run, is made from its records alone, and is checked so."""

import csv
from pathlib import Path

import pytest
from pandas.testing import assert_frame_equal

import bench
from bench.errors import ResourceError, RunFolderError
from bench.execution.simulated import SimulatedExecutor
from bench.records.record import Status
from bench.records.store import RunFolder
from bench.report.publish import differences, index, publish, published
from bench.report.write import write_report
from bench.spec.plan import Trial
from tests.suites_made import TINY, suite_of

ROOT = Path(__file__).parents[2]
MADE = ("summary.md", "summary.csv", "summary.tex", "trials.csv", "epochs.csv", "suite.toml")


def lost_once(trial: Trial, attempt: int) -> Status:
    return "worker_lost" if trial.block == 0 and attempt == 1 else "completed"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run in which some trials were tried twice."""
    return bench.run(
        suite_of(TINY), tmp_path / "run", executor=SimulatedExecutor(fate=lost_once)
    ).path


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "published"


def test_a_published_run_is_read_as_the_run_itself(run: Path, place: Path) -> None:
    folder = publish(run, "tiny", place)
    here = ["node", "devices", "error"]  # may hold a host, which is named anew
    for load in (bench.load_trials, bench.load_attempts, bench.load_epochs):
        ours, theirs = load(folder), load(run)
        columns = [column for column in ours.columns if column not in here]
        by = [c for c in ("trial_id", "attempt", "epoch") if c in columns]
        assert_frame_equal(
            ours[columns].sort_values(by, ignore_index=True),
            theirs[columns].sort_values(by, ignore_index=True),
        )
    assert len(bench.load_attempts(folder)) == 6


def test_its_suite_is_the_one_that_was_run(run: Path, place: Path) -> None:
    folder = publish(run, "tiny", place)
    asked = bench.load_suite(folder / "suite.toml")
    assert asked.model_dump() == suite_of(TINY).model_dump()


def test_reporting_it_again_gives_the_same_bytes(run: Path, place: Path, tmp_path: Path) -> None:
    folder = publish(run, "tiny", place)
    for path in write_report(folder, tmp_path / "report"):
        assert path.read_bytes() == (folder / path.name).read_bytes()


@pytest.mark.parametrize("name", MADE)
def test_an_edited_cell_is_found(run: Path, place: Path, name: str) -> None:
    folder = publish(run, "tiny", place)
    assert differences(folder) == ()
    path = folder / name
    lines = path.read_text().splitlines()
    lines[-1] += "x"
    path.write_text("\n".join(lines) + "\n")
    assert differences(folder) == (f"{path}:{len(lines)}: not what the records give",)


@pytest.mark.parametrize(("factor", "same"), [(1 + 1e-13, True), (1 + 1e-6, False)])
def test_a_raw_number_may_differ_in_its_last_digits_alone(
    run: Path, place: Path, factor: float, same: bool
) -> None:
    folder = publish(run, "tiny", place)
    path = folder / "summary.csv"
    head, *rows = csv.reader(path.read_text().splitlines())
    value = rows[0][head.index("epoch_s")]
    path.write_text(path.read_text().replace(value, repr(float(value) * factor)))
    assert value not in path.read_text()
    assert (differences(folder) == ()) == same


def test_others_may_read_the_folder(run: Path, place: Path) -> None:
    folder = publish(run, "tiny", place)
    assert folder.stat().st_mode == place.stat().st_mode


def test_the_readme_s_table_is_the_published_one() -> None:
    ours, theirs = (
        [line for line in (ROOT / name).read_text().splitlines() if line.startswith("| global_")]
        for name in ("README.md", "results/published/quick/summary.md")
    )
    assert ours == theirs[: len(ours)] != []


def test_a_file_that_is_gone_or_cut_short_is_found(run: Path, place: Path) -> None:
    folder = publish(run, "tiny", place)
    (folder / "summary.tex").unlink()
    rows = (folder / "epochs.csv").read_text().splitlines()
    (folder / "epochs.csv").write_text("\n".join(rows[:-1]))
    assert differences(folder) == (
        f"{folder / 'epochs.csv'}: lines are missing, or too many",
        f"{folder / 'summary.tex'}: missing",
    )


def test_a_name_that_is_taken_is_refused_unless_it_is_to_be_replaced(
    run: Path, place: Path
) -> None:
    (publish(run, "tiny", place) / "old").touch()
    with pytest.raises(ResourceError, match="already there"):
        publish(run, "tiny", place)
    assert not (publish(run, "tiny", place, replace=True) / "old").exists()
    assert not [path for path in place.iterdir() if path.name.startswith(".")]


def test_a_run_that_has_not_ended_is_refused(run: Path, place: Path) -> None:
    next(RunFolder(run).trials.glob("b001*.json")).unlink()
    with pytest.raises(RunFolderError, match="1 of 4 trials have not ended: finish the run"):
        publish(run, "tiny", place)
    assert not (place / "tiny").exists()


def test_what_is_no_published_run_is_said(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"no run\.json: publish the run again"):
        differences(tmp_path)


def test_the_index_lists_every_published_run(run: Path, place: Path) -> None:
    publish(run, "two", place)
    publish(run, "one", place)
    assert [folder.name for folder in published(place)] == ["one", "two"]
    listing = (place / "README.md").read_text()
    assert listing == index(place)
    assert listing.index("[one](one/summary.md)") < listing.index("[two](two/summary.md)")
