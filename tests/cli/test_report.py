"""The commands that read a run: report and show."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Command, error_line

TABLES = ["summary.csv", "summary.md", "summary.tex"]
NAMES = ["charts", "index.html", *TABLES]


def test_report_writes_markdown_csv_and_latex_and_names_the_files(
    command: Command, finished_run: Path
) -> None:
    result = command("report", finished_run)
    assert (result.code, result.stderr) == (0, "")
    assert sorted(path.name for path in (finished_run / "report").iterdir()) == NAMES
    listed = {
        Path(line) for line in result.stdout.splitlines() if line.startswith(str(finished_run))
    }
    assert listed == {path for path in (finished_run / "report").rglob("*") if path.is_file()}
    assert "norm=bn_post" in (finished_run / "report" / "summary.md").read_text()


def test_report_names_the_page_last(command: Command, finished_run: Path) -> None:
    assert command("report", finished_run).stdout.splitlines()[-1] == str(
        finished_run / "report" / "index.html"
    )


def test_report_for_programs_prints_the_paths_and_the_results(
    command: Command, finished_run: Path
) -> None:
    result = command("report", finished_run, "--json")
    written = {path for path in (finished_run / "report").rglob("*") if path.is_file()}
    content = json.loads(result.stdout)
    assert set(map(Path, content["files"])) == written
    (run,) = content["runs"]
    assert [v["label"] for v in run["variants"]] == ["norm=none", "norm=bn_post"]


def test_report_writes_to_out(command: Command, finished_run: Path, tmp_path: Path) -> None:
    assert command("report", finished_run, "--out", "elsewhere").code == 0
    assert sorted(path.name for path in (tmp_path / "elsewhere").iterdir()) == NAMES
    assert not (finished_run / "report").exists()


@pytest.mark.slow
def test_several_runs_are_reported_each_in_a_subfolder(
    command: Command, finished_run: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    assert command("run", "tiny.toml", "--executor", "simulated", "--out", other).code == 0
    assert command("report", finished_run, other, "--out", "both").code == 0
    assert sorted(path.name for path in (tmp_path / "both").iterdir()) == [
        "index.html",
        "made",
        "other",
    ]
    for name in ("made", "other"):
        names = sorted(path.name for path in (tmp_path / "both" / name).iterdir())
        assert names == ["charts", *TABLES]
    assert command("report", finished_run, other).code == 0
    assert (finished_run / "report" / "summary.md").exists()
    assert (other / "report" / "summary.md").exists()


def test_two_runs_of_one_name_would_overwrite_each_other(
    command: Command, finished_run: Path
) -> None:
    result = command("report", finished_run, finished_run.parent / "." / "made", "--out", "both")
    assert "the same name" in error_line(result, 2)


@pytest.mark.slow
def test_reporting_twice_replaces_the_first_report(command: Command, finished_run: Path) -> None:
    assert command("report", finished_run).code == 0
    before = (finished_run / "report" / "summary.md").read_text()
    assert command("report", finished_run).code == 0
    assert (finished_run / "report" / "summary.md").read_text() == before


@pytest.mark.parametrize("verb", [("report",), ("show", "b000")])
@pytest.mark.parametrize("place", ["nowhere", "tiny.toml", "."])
def test_a_path_that_is_not_a_run_folder_is_refused(
    command: Command, tiny: Path, verb: tuple[str, ...], place: str
) -> None:
    assert tiny.exists()
    assert "run folder" in error_line(command(verb[0], place, *verb[1:]), 5)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema_version": 1}', "\x00", "null"])
def test_an_incomplete_run_json_is_refused_by_name(
    command: Command, finished_run: Path, content: str
) -> None:
    (finished_run / "run.json").write_text(content)
    assert str(finished_run / "run.json") in error_line(command("report", finished_run), 5)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema_version": 1}'])
def test_an_incomplete_record_is_refused_by_name(
    command: Command, finished_run: Path, content: str
) -> None:
    record = next((finished_run / "trials").iterdir())
    record.write_text(content)
    assert str(record.parent) in error_line(command("report", finished_run), 5)


def test_a_run_of_a_newer_schema_needs_a_newer_version(
    command: Command, finished_run: Path
) -> None:
    info = finished_run / "run.json"
    info.write_text(info.read_text().replace('"schema_version": 1', '"schema_version": 99', 1))
    assert "install a newer trainbench" in error_line(command("report", finished_run), 5)


def test_a_run_without_a_single_record_can_be_reported(
    command: Command, finished_run: Path
) -> None:
    for record in (finished_run / "trials").iterdir():
        record.unlink()
    result = command("report", finished_run)
    assert (result.code, result.stderr) == (0, "")


def test_a_report_that_cannot_be_written_exits_5(command: Command, finished_run: Path) -> None:
    result = command("report", finished_run, "--out", "tiny.toml")
    assert result.code == 5
    assert "tiny.toml" in result.stderr


def test_show_prints_everything_recorded_of_a_trial(command: Command, finished_run: Path) -> None:
    trial_id = sorted((finished_run / "trials").iterdir())[0].stem
    (record,) = json.loads(command("show", finished_run, trial_id, "--json").stdout)
    assert record["trial"]["trial_id"] == trial_id
    assert record["status"] == "completed"


def test_show_finds_trials_by_the_beginning_of_their_id_or_their_variant_s(
    command: Command, finished_run: Path
) -> None:
    trial_id = sorted((finished_run / "trials").iterdir())[0].stem
    assert len(json.loads(command("show", finished_run, "b000", "--json").stdout)) == 2
    variant_id = trial_id.partition("-")[2]
    assert len(json.loads(command("show", finished_run, variant_id, "--json").stdout)) == 2
    assert len(json.loads(command("show", finished_run, "norm=none", "--json").stdout)) == 2
    assert len(command("show", finished_run, "b000").stdout.splitlines()) == 3


def test_show_describes_a_trial_in_words(command: Command, finished_run: Path) -> None:
    trial_id = sorted((finished_run / "trials").iterdir())[0].stem
    shown = command("show", finished_run, trial_id)
    assert (shown.code, shown.stderr) == (0, "")
    assert shown.stdout.startswith(f"{trial_id}  norm=")


def test_show_without_a_trial_lists_them_in_the_order_of_the_plan(
    command: Command, finished_run: Path
) -> None:
    planned = json.loads((finished_run / "run.json").read_text())["trial_ids"]
    _, *lines = command("show", finished_run).stdout.splitlines()
    assert [line.split()[0] for line in lines] == planned
    rows = json.loads(command("show", finished_run, "--json").stdout)
    assert [row["trial_id"] for row in rows] == planned
    assert {row["status"] for row in rows} == {"completed"}


@pytest.mark.parametrize("name", ["", "zz"])
def test_show_says_which_command_lists_the_ids(
    command: Command, finished_run: Path, name: str
) -> None:
    message = error_line(command("show", finished_run, name), 2)
    assert message.endswith(f"no trial '{name}': bench show {finished_run} lists them")


def test_a_misspelled_trial_is_refused_with_the_nearest(
    command: Command, finished_run: Path
) -> None:
    trial_id = sorted((finished_run / "trials").iterdir())[0].stem
    message = error_line(command("show", finished_run, trial_id.replace("b000", "b00")), 2)
    assert f"'{trial_id}'" in message
    assert error_line(command("show", finished_run, "norm=bn-post"), 2).endswith("'norm=bn_post'?")


def test_a_planned_trial_without_a_record_is_not_unknown(
    command: Command, finished_run: Path
) -> None:
    record = sorted((finished_run / "trials").iterdir())[0]
    record.unlink()
    assert "--resume" in error_line(command("show", finished_run, record.stem), 2)
    assert "no record" in command("show", finished_run).stdout


@pytest.mark.parametrize("verb", [("report",), ("show",), ("publish", "name")])
def test_a_misspelled_run_folder_is_refused_with_the_nearest(
    command: Command, finished_run: Path, verb: tuple[str, ...]
) -> None:
    message = error_line(command(verb[0], finished_run.with_name("Mdae"), *verb[1:]), 5)
    assert message.endswith(f"did you mean '{finished_run}'?")


def test_an_unknown_run_folder_is_refused_with_the_latest(
    command: Command, finished_run: Path
) -> None:
    assert error_line(command("report", "zzz"), 5).endswith(f"the latest, {finished_run.name}")


@pytest.mark.parametrize("verb", ["plan", "run"])
def test_a_run_folder_instead_of_a_suite_is_recognized(
    command: Command, finished_run: Path, verb: str
) -> None:
    assert error_line(command(verb, finished_run), 2).endswith(
        f"bench report {finished_run} reads it"
    )
