"""An untrusted run folder: the commands refuse links and special files in it.

Each refusal is one line that names the file, with exit code 5, and changes nothing outside.
"""

import os
import shutil
from pathlib import Path

import pytest

from bench.analysis.loading.data_frames import load_attempts, load_epochs, load_trials
from bench.analysis.loading.run_frames import read_frames, write_tables
from bench.analysis.questions.layer_health_frame import load_health
from bench.analysis.summary import summarize
from bench.errors import ResourceError, RunFolderError, StorageError
from bench.records.run_folder import RunFolder
from bench.report.publishing.publish import publish
from bench.report.publishing.published_index import published_folders, write_indexes
from bench.report.publishing.verification import difference, differences
from bench.report.summary_files import write_summary
from tests.cli.conftest import Command, error_line
from tests.support.other_users import KINDS, SPECIAL, plant
from tests.support.sample_records import NORMS, make_run

# A command that waits fails by this limit.
pytestmark = pytest.mark.timeout(120)
ONE = {**NORMS, "blocks": 1}
READERS = (load_trials, load_attempts, load_epochs, load_health)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "run", ONE).path


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A folder of the user with files of the names that a report has."""
    home = tmp_path / "home"
    home.mkdir()
    for name in ("summary.md", "index.html", "trials.csv", "README.md", ".lock"):
        (home / name).write_bytes(b"precious")
    return home


def is_unchanged(victim: Path) -> bool:
    return {file.read_bytes() for file in victim.iterdir()} == {b"precious"}


def first_record(run: Path) -> Path:
    return min((run / "trials").iterdir())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("replaced", ["run.json", "record", "trials"])
def test_every_reader_refuses_links_and_special_files(run: Path, kind: str, replaced: str) -> None:
    path = first_record(run) if replaced == "record" else run / replaced
    if replaced == "trials":
        shutil.rmtree(path)
    if kind == "folder" and replaced == "trials":
        path.symlink_to("/etc")
    else:
        plant(kind, path)
    for reader in READERS:
        with pytest.raises(RunFolderError, match=path.name) as refused:
            reader(run)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize("kind", KINDS)
def test_every_reader_refuses_them_as_the_records_of_a_published_run(run: Path, kind: str) -> None:
    shutil.rmtree(run / "trials")
    plant(kind, run / "records.jsonl")
    for reader in READERS:
        with pytest.raises(RunFolderError, match=r"records\.jsonl"):
            reader(run)


@pytest.mark.parametrize("kind", [*SPECIAL, "link to a device", "huge"])
def test_a_command_refuses_them_in_one_line(run: Path, command: Command, kind: str) -> None:
    plant(kind, record := first_record(run))
    assert error_line(command("show", run), 5).startswith(f"{record}: ")


def test_the_run_folder_itself_may_be_a_link(run: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(run)
    assert len(load_trials(tmp_path / "link")) == 3
    link = RunFolder.open(tmp_path / "link")
    assert write_summary(summarize(link.path), link.report_files)[0].parent == link.path / "report"


def test_a_link_to_a_record_elsewhere_is_not_read(run: Path, tmp_path: Path) -> None:
    record = first_record(run)
    record.rename(tmp_path / "elsewhere.json")
    record.symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(RunFolderError, match=record.name):
        load_trials(run)


def test_a_report_is_not_written_through_a_link_to_a_folder(
    run: Path, victim: Path, command: Command
) -> None:
    (run / "report").symlink_to(victim)
    result = command("report", run)
    assert result.code == 5
    assert str(run / "report") in result.stderr
    assert is_unchanged(victim)


def test_tables_are_not_written_through_links_to_files(run: Path, victim: Path) -> None:
    (run / "report").mkdir()
    (run / "report" / "summary.md").symlink_to(victim / "summary.md")
    with pytest.raises(StorageError, match="symbolic link"):
        write_summary(summarize(run), RunFolder.open(run).report_files)
    (run / "trials.csv").symlink_to(victim / "trials.csv")
    with pytest.raises(StorageError, match="symbolic link"):
        write_tables(read_frames(RunFolder.open(run)))
    assert is_unchanged(victim)


def test_temporary_files_have_no_predictable_names(run: Path, victim: Path) -> None:
    """A name made of the file's name and the process id would be predictable."""
    (run / "report").mkdir()
    for name in ("summary.md", "summary.csv", "summary.tex"):
        (run / "report" / f".{name}.{os.getpid()}").symlink_to(victim / "summary.md")
    for name in ("trials.csv", "trials.parquet", "epochs.csv", "epochs.parquet"):
        (run / f".{name}.{os.getpid()}").symlink_to(victim / "trials.csv")
    write_summary(summarize(run), RunFolder.open(run).report_files)
    write_tables(read_frames(RunFolder.open(run)))
    assert is_unchanged(victim)


@pytest.mark.parametrize("kind", [*SPECIAL, "dangling link", "folder"])
def test_a_report_does_not_wait_for_special_files(run: Path, kind: str) -> None:
    (run / "report").mkdir()
    plant(kind, run / "report" / "summary.md")
    with pytest.raises(StorageError, match=r"summary\.md"):
        write_summary(summarize(run), RunFolder.open(run).report_files)


def test_a_lock_that_is_a_link_is_refused(run: Path, victim: Path) -> None:
    (run / ".lock").symlink_to(victim / ".lock")
    with pytest.raises(StorageError, match=r"run/\.lock: is a symbolic link"):
        RunFolder.open(run).locked().__enter__()
    assert is_unchanged(victim)


@pytest.mark.parametrize("kind", [*SPECIAL, "dangling link", "folder"])
def test_a_lock_that_is_not_a_regular_file_is_refused(run: Path, kind: str) -> None:
    plant(kind, run / ".lock")
    with pytest.raises(StorageError, match=r"run/\.lock: "):
        RunFolder.open(run).locked().__enter__()


@pytest.mark.parametrize("link_kind", ["link", "hard link"])
def test_a_record_is_not_written_through_links(run: Path, victim: Path, link_kind: str) -> None:
    folder, path = RunFolder.open(run), first_record(run)
    record = next(r for r in folder.records() if r.trial.trial_id == path.stem)
    path.unlink()
    if link_kind == "link":
        path.symlink_to(victim / "summary.md")
        with pytest.raises(StorageError, match="symbolic link"):
            folder.write(record)
    else:
        os.link(victim / "summary.md", path)
        folder.write(record)
        assert record in list(folder.records())
    assert is_unchanged(victim)


@pytest.fixture(scope="module")
def published_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made")
    return publish(make_run(root / "run", ONE).path, "tiny", root / "published")


@pytest.fixture
def folder(published_run: Path, tmp_path: Path) -> Path:
    """A copy of the published folder."""
    return Path(shutil.copytree(published_run, tmp_path / "published" / "tiny"))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("folder", "huge")])
@pytest.mark.parametrize("name", ["records.jsonl", "summary.md", "charts/more"])
def test_a_published_folder_with_links_or_special_files_is_refused(
    folder: Path, kind: str, name: str
) -> None:
    plant(kind, folder / name)
    with pytest.raises(RunFolderError, match=Path(name).name):
        differences(folder)


@pytest.mark.parametrize("damage", [b"\xff\xfe", b"<![x", b'"' + b"x" * 200_000, b"a\n" * 10**6])
@pytest.mark.parametrize("name", ["summary.md", "trials.csv", "index.html", "page-data.json"])
def test_a_published_file_that_is_not_text_or_too_long_differs(
    published_run: Path, tmp_path: Path, name: str, damage: bytes
) -> None:
    (tmp_path / name).write_bytes(damage)
    assert difference(tmp_path / name, published_run / name)
    plant("huge", tmp_path / name)
    assert difference(tmp_path / name, published_run / name)


def test_endlessly_nested_data_of_a_page_differ(published_run: Path, tmp_path: Path) -> None:
    data = tmp_path / "page-data.json"
    data.write_text("[" * 100_000)
    assert difference(data, published_run / data.name)


def test_huge_records_are_not_read(folder: Path) -> None:
    plant("huge", folder / "records.jsonl")
    with pytest.raises(RunFolderError, match=r"records\.jsonl"):
        differences(folder)


def test_a_run_is_not_published_through_links(run: Path, victim: Path, tmp_path: Path) -> None:
    root = tmp_path / "published"
    root.mkdir()
    (root / "tiny").symlink_to(victim)
    for replace in (False, True):
        with pytest.raises(ResourceError, match="tiny"):
            publish(run, "tiny", root, replace=replace)
    with pytest.raises(RunFolderError, match="symbolic link"):
        (victim / "run.json").write_bytes(b"precious")
        published_folders(root)
    (root / "tiny").unlink()
    (root / "README.md").symlink_to(victim / "README.md")
    with pytest.raises(StorageError, match="symbolic link"):
        write_indexes(root)
    assert is_unchanged(victim)


def test_replacing_a_published_run_removes_links_but_not_their_targets(
    run: Path, folder: Path, victim: Path
) -> None:
    (folder / "more").symlink_to(victim)
    publish(run, "tiny", folder.parent, replace=True)
    assert not (folder / "more").is_symlink()
    assert is_unchanged(victim)
