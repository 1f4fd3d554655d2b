"""The commands that read a run: report and show."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Command, complaint

TABLES = ["summary.csv", "summary.md", "summary.tex"]
NAMES = ["charts", "index.html", *TABLES]


def test_report_writes_markdown_csv_and_latex_and_names_the_files(
    command: Command, made: Path
) -> None:
    done = command("report", made)
    assert (done.code, done.stderr) == (0, "")
    assert sorted(path.name for path in (made / "report").iterdir()) == NAMES
    listed = {Path(line) for line in done.stdout.splitlines() if line.startswith(str(made))}
    assert listed == {path for path in (made / "report").rglob("*") if path.is_file()}
    assert "norm=bn_post" in (made / "report" / "summary.md").read_text()


def test_report_names_the_page_last(command: Command, made: Path) -> None:
    assert command("report", made).stdout.splitlines()[-1] == str(made / "report" / "index.html")


def test_report_for_programs_prints_the_paths_and_the_results(command: Command, made: Path) -> None:
    done = command("report", made, "--json")
    written = {path for path in (made / "report").rglob("*") if path.is_file()}
    content = json.loads(done.stdout)
    assert set(map(Path, content["files"])) == written
    (run,) = content["runs"]
    assert [v["label"] for v in run["variants"]] == ["norm=none", "norm=bn_post"]


def test_report_goes_where_it_is_told(command: Command, made: Path, tmp_path: Path) -> None:
    assert command("report", made, "--out", "elsewhere").code == 0
    assert sorted(path.name for path in (tmp_path / "elsewhere").iterdir()) == NAMES
    assert not (made / "report").exists()


@pytest.mark.slow
def test_several_runs_are_reported_each_in_its_own_folder(
    command: Command, made: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    assert command("run", "tiny.toml", "--executor", "simulated", "--out", other).code == 0
    assert command("report", made, other, "--out", "both").code == 0
    assert sorted(path.name for path in (tmp_path / "both").iterdir()) == [
        "index.html",
        "made",
        "other",
    ]
    for name in ("made", "other"):
        own = sorted(path.name for path in (tmp_path / "both" / name).iterdir())
        assert own == ["charts", *TABLES]
    assert command("report", made, other).code == 0
    assert (made / "report" / "summary.md").exists()
    assert (other / "report" / "summary.md").exists()


def test_two_runs_of_one_name_would_overwrite_each_other(command: Command, made: Path) -> None:
    done = command("report", made, made.parent / "." / "made", "--out", "both")
    assert "the same name" in complaint(done, 2)


@pytest.mark.slow
def test_reporting_twice_replaces_the_first_report(command: Command, made: Path) -> None:
    assert command("report", made).code == 0
    before = (made / "report" / "summary.md").read_text()
    assert command("report", made).code == 0
    assert (made / "report" / "summary.md").read_text() == before


@pytest.mark.parametrize("verb", [("report",), ("show", "b000")])
@pytest.mark.parametrize("place", ["nowhere", "tiny.toml", "."])
def test_what_is_no_run_folder_is_refused(
    command: Command, tiny: Path, verb: tuple[str, ...], place: str
) -> None:
    assert tiny.exists()
    assert "run folder" in complaint(command(verb[0], place, *verb[1:]), 5)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema_version": 1}', "\x00", "null"])
def test_a_half_written_run_is_refused_by_the_file_s_name(
    command: Command, made: Path, content: str
) -> None:
    (made / "run.json").write_text(content)
    assert str(made / "run.json") in complaint(command("report", made), 5)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema_version": 1}'])
def test_a_half_written_record_is_refused_by_its_name(
    command: Command, made: Path, content: str
) -> None:
    record = next((made / "trials").iterdir())
    record.write_text(content)
    assert str(record.parent) in complaint(command("report", made), 5)


def test_a_run_from_a_newer_schema_asks_for_a_newer_bench(command: Command, made: Path) -> None:
    info = made / "run.json"
    info.write_text(info.read_text().replace('"schema_version": 1', '"schema_version": 99', 1))
    assert "install a newer trainbench" in complaint(command("report", made), 5)


def test_a_run_without_a_single_record_can_be_reported(command: Command, made: Path) -> None:
    for record in (made / "trials").iterdir():
        record.unlink()
    done = command("report", made)
    assert (done.code, done.stderr) == (0, "")


def test_a_report_that_cannot_be_written_is_a_matter_of_the_disk(
    command: Command, made: Path
) -> None:
    done = command("report", made, "--out", "tiny.toml")
    assert done.code == 5
    assert "tiny.toml" in done.stderr


def test_show_prints_everything_known_of_a_trial(command: Command, made: Path) -> None:
    trial_id = sorted((made / "trials").iterdir())[0].stem
    (record,) = json.loads(command("show", made, trial_id, "--json").stdout)
    assert record["trial"]["trial_id"] == trial_id
    assert record["status"] == "completed"


def test_show_finds_trials_by_the_beginning_of_their_id_or_their_variant_s(
    command: Command, made: Path
) -> None:
    trial_id = sorted((made / "trials").iterdir())[0].stem
    assert len(json.loads(command("show", made, "b000", "--json").stdout)) == 2
    variant_id = trial_id.partition("-")[2]
    assert len(json.loads(command("show", made, variant_id, "--json").stdout)) == 2
    assert len(json.loads(command("show", made, "norm=none", "--json").stdout)) == 2
    assert len(command("show", made, "b000").stdout.splitlines()) == 3


def test_show_tells_people_of_a_trial_in_words(command: Command, made: Path) -> None:
    trial_id = sorted((made / "trials").iterdir())[0].stem
    shown = command("show", made, trial_id)
    assert (shown.code, shown.stderr) == (0, "")
    assert shown.stdout.startswith(f"{trial_id}  norm=")


def test_show_without_a_trial_lists_them_in_the_order_of_the_plan(
    command: Command, made: Path
) -> None:
    planned = json.loads((made / "run.json").read_text())["trial_ids"]
    _, *lines = command("show", made).stdout.splitlines()
    assert [line.split()[0] for line in lines] == planned
    rows = json.loads(command("show", made, "--json").stdout)
    assert [row["trial_id"] for row in rows] == planned
    assert {row["status"] for row in rows} == {"completed"}


@pytest.mark.parametrize("wanted", ["", "zz"])
def test_show_says_where_the_ids_are(command: Command, made: Path, wanted: str) -> None:
    said = complaint(command("show", made, wanted), 2)
    assert said.endswith(f"no trial '{wanted}': bench show {made} lists them")


def test_a_trial_that_was_nearly_named_is_offered(command: Command, made: Path) -> None:
    trial_id = sorted((made / "trials").iterdir())[0].stem
    said = complaint(command("show", made, trial_id.replace("b000", "b00")), 2)
    assert f"'{trial_id}'" in said
    assert complaint(command("show", made, "norm=bn-post"), 2).endswith("'norm=bn_post'?")


def test_a_planned_trial_without_a_record_is_not_called_unknown(
    command: Command, made: Path
) -> None:
    record = sorted((made / "trials").iterdir())[0]
    record.unlink()
    assert "--resume" in complaint(command("show", made, record.stem), 2)
    assert "no record" in command("show", made).stdout


@pytest.mark.parametrize("verb", [("report",), ("show",), ("publish", "name")])
def test_a_run_folder_that_was_nearly_named_is_offered(
    command: Command, made: Path, verb: tuple[str, ...]
) -> None:
    said = complaint(command(verb[0], made.with_name("Mdae"), *verb[1:]), 5)
    assert said.endswith(f"did you mean '{made}'?")


def test_where_no_run_folder_is_near_the_latest_is_named(command: Command, made: Path) -> None:
    assert complaint(command("report", "zzz"), 5).endswith(f"the latest, {made.name}")


@pytest.mark.parametrize("verb", ["plan", "run"])
def test_a_run_folder_in_a_suite_s_place_is_told_apart(
    command: Command, made: Path, verb: str
) -> None:
    assert complaint(command(verb, made), 2).endswith(f"bench report {made} reads it")
