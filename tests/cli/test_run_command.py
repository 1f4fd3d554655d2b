"""A run from its command line to its exit code, with simulated trials."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import bench
from bench.execution.simulated import SimulatedExecutor
from bench.records.run_folder import RunFolder
from bench.records.trial_record import Status
from bench.spec.expand import expand
from bench.spec.plan import Trial
from bench.spec.suite import load_suite
from tests.cli.conftest import Command, error_line
from tests.support.sample_suites import TINY, write_suite

SIMULATED = ("--executor", "simulated")


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulated trials with batch norm fail."""

    def status_of(trial: Trial, _attempt: int) -> Status:
        return "completed" if trial.variant.norm == "none" else "failed"

    monkeypatch.setattr(
        "bench.execution.simulated.SimulatedExecutor",
        lambda: SimulatedExecutor(status_of=status_of),
    )


def test_a_run_prints_its_table_and_the_path_of_its_folder(command: Command, tiny: Path) -> None:
    result = command("run", tiny, *SIMULATED, "--out", "made")
    assert result.code == 0
    assert "norm=bn_post" in result.stdout
    hint, folder = result.stdout.splitlines()[-2:]
    assert hint.endswith(": bench report made")
    assert folder == "Run folder: made"
    assert list(bench.load_trials("made").status) == ["completed"] * 4


def test_a_run_reads_its_records_once(
    command: Command, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For its tables and for the table that it prints."""
    reads: list[Path] = []
    read = RunFolder.raw_records

    def count_reads(folder: RunFolder, *, all_attempts: bool = False) -> Iterator[dict[str, Any]]:
        reads.append(folder.path)
        return read(folder, all_attempts=all_attempts)

    monkeypatch.setattr(RunFolder, "raw_records", count_reads)
    assert command("run", tiny, *SIMULATED, "--out", "made").code == 0
    assert reads == [Path("made")]


def test_without_a_terminal_progress_is_one_line_per_trial_on_stderr(
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


def test_with_json_stdout_is_only_json(command: Command, tiny: Path) -> None:
    result = command("run", tiny, *SIMULATED, "--out", "made", "--json")
    content = json.loads(result.stdout)
    assert content["run"] == "made"
    assert content["succeeded"] is True
    assert content["statuses"] == {"completed": 4}
    assert len(content["trials"]) == 4
    assert [v["n"] for v in content["results"]["variants"]] == [2, 2]


def test_changes_of_the_command_line_apply_to_the_run(command: Command, tiny: Path) -> None:
    changes = ("--set", "epochs=5", "--blocks", "1")
    only = json.loads(command("plan", tiny, *changes, "--json").stdout)["variants"][0]
    selection = ("--only", only["variant_id"])
    result = command("run", tiny, *SIMULATED, "--out", "made", *changes, *selection)
    assert result.code == 0, result.stderr
    (trial,) = bench.load_trials("made").to_dict("records")
    assert trial["epochs"] == 5
    assert trial["norm"] == only["norm"]
    assert len(bench.load_epochs("made")) == 5


def test_only_accepts_the_id_that_a_variant_has_on_the_devices_of_the_run(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    convnet = {**TINY["variant"], "workload": "convnet", "filters": [2]}
    suite = write_suite(tmp_path / "tiny.toml", {**TINY, "variant": convnet})
    baseline, variant_id = (cell.id for cell in expand(load_suite(suite), "gpu"))
    assert variant_id not in {cell.id for cell in expand(load_suite(suite), "cpu")}
    monkeypatch.setattr(SimulatedExecutor, "uses_gpus", True)
    result = command("run", suite, *SIMULATED, "--out", "made", "--only", variant_id)
    assert result.code == 0, result.stderr
    assert f"--only {baseline}" in result.stderr


@pytest.mark.usefixtures("failing")
def test_a_run_with_a_failed_trial_exits_5_and_says_how_to_resume(
    command: Command, tiny: Path
) -> None:
    result = command("run", tiny, *SIMULATED, "--out", "made")
    assert result.code == 5
    assert "failed" in result.stdout
    last = result.stderr.splitlines()[-1]
    assert last.startswith("bench: not every trial completed")
    assert last.endswith(f"bench run {tiny} --executor simulated --out made --resume")


@pytest.mark.usefixtures("failing")
def test_the_command_that_a_run_names_resumes_a_run_without_out(
    command: Command, tiny: Path
) -> None:
    last = command("run", tiny, *SIMULATED).stderr.splitlines()[-1]
    words = last.partition(" bench ")[2].split()
    again = command(*words)
    assert again.code == 5
    assert again.stderr.splitlines()[0] == "2 trials, 1 at a time"


def test_resuming_a_finished_run_runs_nothing_and_exits_0(
    command: Command, finished_run: Path
) -> None:
    before = {path: path.read_bytes() for path in (finished_run / "trials").iterdir()}
    result = command("run", "tiny.toml", *SIMULATED, "--out", finished_run, "--resume")
    assert result.code == 0
    assert result.stderr == ""
    assert "norm=bn_post" in result.stdout
    assert {path: path.read_bytes() for path in (finished_run / "trials").iterdir()} == before


def test_resuming_with_more_blocks_runs_those(command: Command, finished_run: Path) -> None:
    result = command(
        "run", "tiny.toml", *SIMULATED, "--out", finished_run, "--resume", "--blocks", "3"
    )
    assert result.code == 0
    assert result.stderr.splitlines()[0] == "2 trials, 1 at a time"
    assert len(bench.load_trials(finished_run)) == 6


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("--out made", "already exists and is not empty: choose another --out"),
        ("--resume", "name its folder with --out"),
        ("--out made --resume --set epochs=3", "variant.epochs: 3 here, 2 in the run folder"),
        ("--out made --resume --blocks 1", "blocks: 1 here, 2 in the run folder"),
    ],
)
def test_an_unsuitable_run_folder_is_refused(
    command: Command, finished_run: Path, words: str, reason: str
) -> None:
    message = error_line(command("run", "tiny.toml", *SIMULATED, *words.split()), 2)
    assert reason in message
    assert len(list((finished_run / "trials").iterdir())) == 4


@pytest.mark.parametrize("words", ["--out nowhere --resume", "--out tiny.toml --resume"])
def test_resuming_a_missing_run_exits_5(command: Command, tiny: Path, words: str) -> None:
    assert "no such run folder" in error_line(command("run", tiny, *SIMULATED, *words.split()), 5)


def test_a_run_of_a_newer_schema_is_not_resumed(command: Command, finished_run: Path) -> None:
    info = finished_run / "run.json"
    info.write_text(info.read_text().replace('"schema_version": 1', '"schema_version": 99', 1))
    result = command("run", "tiny.toml", *SIMULATED, "--out", finished_run, "--resume")
    assert "install a newer trainbench" in error_line(result, 5)


def test_resuming_a_run_with_an_incomplete_file_names_the_file(
    command: Command, finished_run: Path
) -> None:
    record = next((finished_run / "trials").iterdir())
    record.write_text(record.read_text()[:100])
    result = command("run", "tiny.toml", *SIMULATED, "--out", finished_run, "--resume")
    assert str(record) in error_line(result, 5)


@pytest.mark.parametrize("out", ["tiny.toml", "tiny.toml/run", "/proc/run"])
def test_a_path_that_cannot_be_written_is_refused(command: Command, tiny: Path, out: str) -> None:
    result = command("run", tiny, *SIMULATED, "--out", out)
    assert "choose another" in error_line(result, result.code)
    assert result.code in (2, 5)


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A read-only folder."""
    folder = tmp_path / "read-only"
    folder.mkdir()
    if os.geteuid():
        folder.chmod(0o555)
        yield folder
        folder.chmod(0o755)
        return
    mount = ["mount", "-t", "tmpfs", "-o", "ro,size=64k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        # Only a read-only file system stops root from writing.
        pytest.skip("needs the right to mount a read-only file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_folder_that_is_not_writable_exits_5(
    command: Command, tiny: Path, read_only: Path
) -> None:
    message = error_line(command("run", tiny, *SIMULATED, "--out", read_only / "run"), 5)
    assert (
        f"the disk at {read_only} writable" in message
        or f"the folder {read_only} writable" in message
    )


def test_a_run_in_use_is_refused(command: Command, finished_run: Path) -> None:
    with RunFolder.open(finished_run).locked():
        result = command("run", "tiny.toml", *SIMULATED, "--out", finished_run, "--resume")
    assert "another bench run is working on it" in error_line(result, 2)


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
    result = command("run", tiny, "--out", "made", *words)
    assert words[1] in error_line(result, 2)
    assert not (tmp_path / "made").exists()


def test_a_label_with_brackets_is_shown_unchanged(command: Command, tmp_path: Path) -> None:
    labelled = {**TINY, "matrix": {}, "compare": [], "variants": [{"label": "[bold]x[/nope]"}]}
    result = command("run", write_suite(tmp_path / "labelled.toml", labelled), *SIMULATED)
    assert result.code == 0
    assert "[bold]x[/nope]" in result.stdout
    assert "[bold]x[/nope]" in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("run", "quick", "--out", ""),
        ("run", "quick", "--cluster="),
        ("show", ""),
        ("report", ""),
        ("publish", "", "name"),
        ("verify-published", ""),
        ("copy-suite", "quick", ""),
    ],
    ids=lambda words: words[0],
)
def test_an_empty_path_does_not_mean_the_current_folder(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "empty" in error_line(command(*words), 2)
    assert not list(tmp_path.iterdir())
