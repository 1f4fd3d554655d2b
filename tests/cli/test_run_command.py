"""A run from its command line to its exit code, with trials that take no time."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import bench
from bench.execution.simulated import SimulatedExecutor
from bench.records.run_folder import RunFolder
from bench.records.trial_record import Status
from bench.spec.expand import expand
from bench.spec.plan import Trial
from bench.spec.suite import load_suite
from tests.cli.conftest import Command, complaint
from tests.support.sample_suites import TINY, written

SIMULATED = ("--executor", "simulated")


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulated trials with batch norm fail."""

    def fate(trial: Trial, _attempt: int) -> Status:
        return "completed" if trial.variant.norm == "none" else "failed"

    monkeypatch.setattr(
        "bench.execution.simulated.SimulatedExecutor", lambda: SimulatedExecutor(fate=fate)
    )


def test_a_run_ends_with_its_table_and_the_folder_s_path(command: Command, tiny: Path) -> None:
    done = command("run", tiny, *SIMULATED, "--out", "made")
    assert done.code == 0
    assert "norm=bn_post" in done.stdout
    way, folder = done.stdout.splitlines()[-2:]
    assert way.endswith(": bench report made")
    assert folder == "Run folder: made"
    assert list(bench.load_trials("made").status) == ["completed"] * 4


def test_without_a_terminal_progress_is_a_line_a_trial_on_stderr(
    command: Command, tiny: Path
) -> None:
    lines = command("run", tiny, *SIMULATED).stderr.splitlines()
    assert lines[0] == "4 trials, 1 at a time"
    assert "epoch for mlp" in lines[1]
    assert [line.split("]")[0] for line in lines[2:]] == ["[1/4", "[2/4", "[3/4", "[4/4"]
    assert all(" an epoch" in line and " so far" in line for line in lines[2:])


def test_without_out_a_new_folder_is_named_after_the_suite_and_the_time(
    command: Command, tiny: Path, tmp_path: Path
) -> None:
    for _ in range(2):
        assert command("run", tiny, *SIMULATED).code == 0
    first, second = (tmp_path / "results" / "runs").iterdir()
    assert first.name.startswith("tiny-2")
    assert second.name.startswith("tiny-2")


def test_for_programs_stdout_is_json_and_nothing_else(command: Command, tiny: Path) -> None:
    done = command("run", tiny, *SIMULATED, "--out", "made", "--json")
    content = json.loads(done.stdout)
    assert content["run"] == "made"
    assert content["succeeded"] is True
    assert content["statuses"] == {"completed": 4}
    assert len(content["trials"]) == 4
    assert [v["n"] for v in content["results"]["variants"]] == [2, 2]


def test_changes_of_the_command_line_are_those_of_the_run(command: Command, tiny: Path) -> None:
    changes = ("--set", "epochs=5", "--blocks", "1")
    only = json.loads(command("plan", tiny, *changes, "--json").stdout)["variants"][0]
    kept = ("--only", only["variant_id"])
    done = command("run", tiny, *SIMULATED, "--out", "made", *changes, *kept)
    assert done.code == 0, done.stderr
    (trial,) = bench.load_trials("made").to_dict("records")
    assert trial["epochs"] == 5
    assert trial["norm"] == only["norm"]
    assert len(bench.load_epochs("made")) == 5


def test_a_variant_of_another_machine_s_devices_is_kept_by_its_id_there(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    convnet = {**TINY["variant"], "workload": "convnet", "filters": [2]}
    suite = written(tmp_path / "tiny.toml", {**TINY, "variant": convnet})
    baseline, kept = (cell.id for cell in expand(load_suite(suite), "gpu"))
    assert kept not in {cell.id for cell in expand(load_suite(suite), "cpu")}
    monkeypatch.setattr(SimulatedExecutor, "uses_gpus", True)
    done = command("run", suite, *SIMULATED, "--out", "made", "--only", kept)
    assert done.code == 0, done.stderr
    assert f"--only {baseline}" in done.stderr


@pytest.mark.usefixtures("failing")
def test_a_run_with_a_failed_trial_exits_5_and_says_how_to_go_on(
    command: Command, tiny: Path
) -> None:
    done = command("run", tiny, *SIMULATED, "--out", "made")
    assert done.code == 5
    assert "failed" in done.stdout
    last = done.stderr.splitlines()[-1]
    assert last.startswith("bench: not every trial completed")
    assert last.endswith(f"bench run {tiny} --executor simulated --out made --resume")


@pytest.mark.usefixtures("failing")
def test_the_command_that_it_names_goes_on_where_no_folder_was_given(
    command: Command, tiny: Path
) -> None:
    last = command("run", tiny, *SIMULATED).stderr.splitlines()[-1]
    words = last.partition(" bench ")[2].split()
    again = command(*words)
    assert again.code == 5
    assert again.stderr.splitlines()[0] == "2 trials, 1 at a time"


def test_resuming_a_finished_run_runs_nothing_and_exits_0(command: Command, made: Path) -> None:
    before = {path: path.read_bytes() for path in (made / "trials").iterdir()}
    done = command("run", "tiny.toml", *SIMULATED, "--out", made, "--resume")
    assert done.code == 0
    assert done.stderr == ""
    assert "norm=bn_post" in done.stdout
    assert {path: path.read_bytes() for path in (made / "trials").iterdir()} == before


def test_resuming_with_more_blocks_runs_those(command: Command, made: Path) -> None:
    done = command("run", "tiny.toml", *SIMULATED, "--out", made, "--resume", "--blocks", "3")
    assert done.code == 0
    assert done.stderr.splitlines()[0] == "2 trials, 1 at a time"
    assert len(bench.load_trials(made)) == 6


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("--out made", "already exists and is not empty: choose another --out"),
        ("--resume", "give it by --out"),
        ("--out made --resume --set epochs=3", "variant.epochs: 3 here, 2 in the run folder"),
        ("--out made --resume --blocks 1", "blocks: 1 here, 2 in the run folder"),
    ],
)
def test_what_cannot_be_run_there_is_refused(
    command: Command, made: Path, words: str, reason: str
) -> None:
    said = complaint(command("run", "tiny.toml", *SIMULATED, *words.split()), 2)
    assert reason in said
    assert len(list((made / "trials").iterdir())) == 4


@pytest.mark.parametrize("words", ["--out nowhere --resume", "--out tiny.toml --resume"])
def test_resuming_what_is_no_run_is_a_matter_of_data(
    command: Command, tiny: Path, words: str
) -> None:
    assert "no such run folder" in complaint(command("run", tiny, *SIMULATED, *words.split()), 5)


def test_a_run_from_a_newer_schema_is_not_touched(command: Command, made: Path) -> None:
    info = made / "run.json"
    info.write_text(info.read_text().replace('"schema_version": 1', '"schema_version": 99', 1))
    done = command("run", "tiny.toml", *SIMULATED, "--out", made, "--resume")
    assert "install a newer trainbench" in complaint(done, 5)


def test_a_run_of_which_a_file_is_half_written_names_the_file(command: Command, made: Path) -> None:
    record = next((made / "trials").iterdir())
    record.write_text(record.read_text()[:100])
    done = command("run", "tiny.toml", *SIMULATED, "--out", made, "--resume")
    assert str(record) in complaint(done, 5)


@pytest.mark.parametrize("out", ["tiny.toml", "tiny.toml/run", "/proc/run"])
def test_a_place_that_cannot_be_written_is_refused(command: Command, tiny: Path, out: str) -> None:
    done = command("run", tiny, *SIMULATED, "--out", out)
    assert "choose another" in complaint(done, done.code)
    assert done.code in (2, 5)


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder in which nobody may write."""
    place = tmp_path / "read-only"
    place.mkdir()
    if os.geteuid():
        place.chmod(0o555)
        yield place
        place.chmod(0o755)
        return
    mount = ["mount", "-t", "tmpfs", "-o", "ro,size=64k", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("root may write anywhere, and may not mount")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_folder_that_is_not_writable_is_a_matter_of_the_disk(
    command: Command, tiny: Path, read_only: Path
) -> None:
    said = complaint(command("run", tiny, *SIMULATED, "--out", read_only / "run"), 5)
    assert f"the disk at {read_only} writable" in said or f"the folder {read_only} writable" in said


def test_a_run_in_use_is_refused(command: Command, made: Path) -> None:
    with RunFolder.open(made).locked():
        done = command("run", "tiny.toml", *SIMULATED, "--out", made, "--resume")
    assert "another bench run is working on it" in complaint(done, 2)


@pytest.mark.parametrize(
    "words",
    [
        ("--address", "nowhere"),
        ("--address", "127.0.0.1:1"),
        ("--address", "no-such-host.invalid:6379"),
    ],
)
def test_an_address_without_ray_is_refused_and_leaves_no_folder(
    command: Command, tiny: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    done = command("run", tiny, "--out", "made", *words)
    assert words[1] in complaint(done, 2)
    assert not (tmp_path / "made").exists()


def test_a_label_with_brackets_is_shown_as_it_stands(command: Command, tmp_path: Path) -> None:
    labelled = {**TINY, "matrix": {}, "compare": [], "variants": [{"label": "[bold]x[/nope]"}]}
    done = command("run", written(tmp_path / "labelled.toml", labelled), *SIMULATED)
    assert done.code == 0
    assert "[bold]x[/nope]" in done.stdout
    assert "[bold]x[/nope]" in done.stderr
