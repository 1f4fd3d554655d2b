"""A run folder from a stranger: what the commands do with links and special files in it.

Every refusal is one line that names the file, with exit code 5, and nothing outside is changed.
"""

import os
import shutil
from pathlib import Path

import pytest

from bench.analysis.frame import load_attempts, load_epochs, load_trials, write_tables
from bench.analysis.health import load_health
from bench.errors import ResourceError, RunFolderError, StorageError
from bench.records.store import RunFolder
from bench.report.index import published, write_indexes
from bench.report.publish import publish
from bench.report.verify import difference, differences
from bench.report.write import write_report
from tests.cli.conftest import Command, complaint
from tests.records_made import NORMS, made_run
from tests.strangers import KINDS, SPECIAL, plant

# A command that waits is ended, and fails.
pytestmark = pytest.mark.timeout(120)
ONE = {**NORMS, "blocks": 1}
READERS = (load_trials, load_attempts, load_epochs, load_health)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return made_run(tmp_path / "run", ONE).path


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A folder of the user's with a file of every name that a report has."""
    home = tmp_path / "home"
    home.mkdir()
    for name in ("summary.md", "index.html", "trials.csv", "README.md", ".lock"):
        (home / name).write_bytes(b"precious")
    return home


def untouched(victim: Path) -> bool:
    return {file.read_bytes() for file in victim.iterdir()} == {b"precious"}


def a_record_of(run: Path) -> Path:
    return min((run / "trials").iterdir())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("replaced", ["run.json", "record", "trials"])
def test_what_is_no_file_of_a_run_is_refused_by_every_reader(
    run: Path, kind: str, replaced: str
) -> None:
    path = a_record_of(run) if replaced == "record" else run / replaced
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
def test_so_are_the_records_in_the_one_file_of_a_published_run(run: Path, kind: str) -> None:
    shutil.rmtree(run / "trials")
    plant(kind, run / "records.jsonl")
    for reader in READERS:
        with pytest.raises(RunFolderError, match=r"records\.jsonl"):
            reader(run)


@pytest.mark.parametrize("kind", [*SPECIAL, "link to a device", "huge"])
def test_a_command_says_so_in_one_line(run: Path, command: Command, kind: str) -> None:
    plant(kind, record := a_record_of(run))
    assert complaint(command("show", run), 5).startswith(f"{record}: ")


def test_the_path_of_the_folder_itself_may_be_a_link(run: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(run)
    assert len(load_trials(tmp_path / "link")) == 3
    assert write_report(tmp_path / "link")[0].parent == tmp_path / "link" / "report"


def test_a_link_to_a_record_elsewhere_is_not_read(run: Path, tmp_path: Path) -> None:
    record = a_record_of(run)
    record.rename(tmp_path / "elsewhere.json")
    record.symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(RunFolderError, match=record.name):
        load_trials(run)


def test_a_report_writes_to_no_other_site(run: Path, victim: Path, command: Command) -> None:
    (run / "report").symlink_to(victim)
    done = command("report", run)
    assert done.code == 5
    assert str(run / "report") in done.stderr
    assert untouched(victim)


def test_nor_to_what_links_in_it_lead_to(run: Path, victim: Path) -> None:
    (run / "report").mkdir()
    (run / "report" / "summary.md").symlink_to(victim / "summary.md")
    with pytest.raises(StorageError, match="symbolic link"):
        write_report(run)
    (run / "trials.csv").symlink_to(victim / "trials.csv")
    with pytest.raises(StorageError, match="symbolic link"):
        write_tables(RunFolder.open(run))
    assert untouched(victim)


def test_nor_under_a_name_that_can_be_foreseen(run: Path, victim: Path) -> None:
    """As it was when files were written aside under their name and the process's number."""
    (run / "report").mkdir()
    for name in ("summary.md", "summary.csv", "summary.tex"):
        (run / "report" / f".{name}.{os.getpid()}").symlink_to(victim / "summary.md")
    for name in ("trials.csv", "trials.parquet", "epochs.csv", "epochs.parquet"):
        (run / f".{name}.{os.getpid()}").symlink_to(victim / "trials.csv")
    write_report(run)
    write_tables(RunFolder.open(run))
    assert untouched(victim)


@pytest.mark.parametrize("kind", [*SPECIAL, "dangling link", "folder"])
def test_nor_waits_for_what_stands_in_a_file_s_place(run: Path, kind: str) -> None:
    (run / "report").mkdir()
    plant(kind, run / "report" / "summary.md")
    with pytest.raises(StorageError, match=r"summary\.md"):
        write_report(run)


def test_a_lock_that_is_a_link_is_refused(run: Path, victim: Path) -> None:
    (run / ".lock").symlink_to(victim / ".lock")
    with pytest.raises(StorageError, match=r"run/\.lock: is a symbolic link"):
        RunFolder.open(run).locked().__enter__()
    assert untouched(victim)


@pytest.mark.parametrize("kind", [*SPECIAL, "dangling link", "folder"])
def test_so_is_whatever_else_is_no_regular_file(run: Path, kind: str) -> None:
    plant(kind, run / ".lock")
    with pytest.raises(StorageError, match=r"run/\.lock: "):
        RunFolder.open(run).locked().__enter__()


@pytest.mark.parametrize("how", ["link", "hard link"])
def test_a_record_is_written_to_no_other_file(run: Path, victim: Path, how: str) -> None:
    folder, path = RunFolder.open(run), a_record_of(run)
    record = next(r for r in folder.records() if r.trial.trial_id == path.stem)
    path.unlink()
    if how == "link":
        path.symlink_to(victim / "summary.md")
        with pytest.raises(StorageError, match="symbolic link"):
            folder.write(record)
    else:
        os.link(victim / "summary.md", path)
        folder.write(record)
        assert record in list(folder.records())
    assert untouched(victim)


@pytest.fixture(scope="module")
def published_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("made")
    return publish(made_run(place / "run", ONE).path, "tiny", place / "published")


@pytest.fixture
def folder(published_once: Path, tmp_path: Path) -> Path:
    """A published folder that may be changed."""
    return Path(shutil.copytree(published_once, tmp_path / "published" / "tiny"))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("folder", "huge")])
@pytest.mark.parametrize("name", ["records.jsonl", "summary.md", "charts/more"])
def test_a_published_folder_of_more_than_files_is_refused(
    folder: Path, kind: str, name: str
) -> None:
    plant(kind, folder / name)
    with pytest.raises(RunFolderError, match=Path(name).name):
        differences(folder)


@pytest.mark.parametrize("damage", [b"\xff\xfe", b"<![x", b'"' + b"x" * 200_000, b"a\n" * 10**6])
@pytest.mark.parametrize("name", ["summary.md", "trials.csv", "index.html"])
def test_a_published_file_that_is_no_text_or_too_long_differs(
    published_once: Path, tmp_path: Path, name: str, damage: bytes
) -> None:
    (tmp_path / name).write_bytes(damage)
    assert difference(tmp_path / name, published_once / name)
    plant("huge", tmp_path / name)
    assert difference(tmp_path / name, published_once / name)


def test_a_page_whose_charts_nest_without_end_differs(published_once: Path, tmp_path: Path) -> None:
    before, _, after = (published_once / "index.html").read_text().partition('id="specs">')
    page, specs = tmp_path / "index.html", "[" * 100_000
    page.write_text(f'{before}id="specs">{specs}{after[after.index("</script>") :]}')
    assert difference(page, published_once / "index.html")


def test_records_that_are_huge_are_not_read(folder: Path) -> None:
    plant("huge", folder / "records.jsonl")
    with pytest.raises(RunFolderError, match=r"records\.jsonl"):
        differences(folder)


def test_a_run_is_published_to_no_other_place(run: Path, victim: Path, tmp_path: Path) -> None:
    place = tmp_path / "published"
    place.mkdir()
    (place / "tiny").symlink_to(victim)
    for replace in (False, True):
        with pytest.raises(ResourceError, match="tiny"):
            publish(run, "tiny", place, replace=replace)
    with pytest.raises(RunFolderError, match="symbolic link"):
        (victim / "run.json").write_bytes(b"precious")
        published(place)
    (place / "tiny").unlink()
    (place / "README.md").symlink_to(victim / "README.md")
    with pytest.raises(StorageError, match="symbolic link"):
        write_indexes(place)
    assert untouched(victim)


def test_replacing_a_published_run_removes_links_and_not_what_they_lead_to(
    run: Path, folder: Path, victim: Path
) -> None:
    (folder / "more").symlink_to(victim)
    publish(run, "tiny", folder.parent, replace=True)
    assert not (folder / "more").is_symlink()
    assert untouched(victim)
