"""Whatever a run folder is called, a cluster's results come back into that very folder."""

import shutil
from pathlib import Path

import psutil
import pytest
import yaml

import bench
from bench.api import run_on_cluster
from bench.errors import DataError, ResourceError, StorageError
from bench.execution.launching.launch import remote_name
from tests.support.launched_cluster import make_launcher
from tests.support.paths import ROOT
from tests.support.sample_records import make_run

CLUSTERS = ROOT / "clusters"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A launcher's file that sends nothing."""
    content = yaml.safe_load((CLUSTERS / "local.yaml").read_text())
    file = tmp_path / "cluster.yaml"
    file.write_text(yaml.safe_dump({**content, "file_mounts": {}}))
    return file


@pytest.fixture
def head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of the head; this process is in a folder of its own, which is its home as well."""
    scripts, head = make_launcher(tmp_path, make_run(tmp_path / "run").path)
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(scripts))
    laptop = tmp_path / "laptop"
    laptop.mkdir()
    monkeypatch.chdir(laptop)
    monkeypatch.setenv("HOME", str(laptop))
    return head


ODD = ["plain", "~/in home", "a:b", "host:/a", "-r", "it's; touch x $(touch y)", "ünï/cödé"]
ODD += ["x/../up", "slash/", "n" * 250, 'quo"te', "new\nline"]


@pytest.mark.usefixtures("head")
@pytest.mark.parametrize("out", ODD)
def test_results_come_back_to_the_folder_that_was_named(config: Path, out: str) -> None:
    (Path.home() / "x").mkdir()
    result = run_on_cluster(config, "smoke", Path(out))
    expected = Path(out).expanduser().absolute()
    assert (expected / "made-here").is_file()
    assert result.path.absolute() == expected
    assert result.succeeded
    assert len(bench.load_trials(out)) == len(result.statuses) > 0
    again = run_on_cluster(config, "smoke", Path(out), resume=True)
    assert again.statuses == result.statuses


@pytest.mark.parametrize("out", [".", "../laptop", "link"])
def test_a_run_is_resumed_by_any_of_its_folder_s_names(
    config: Path, head: Path, tmp_path: Path, out: str
) -> None:
    place = tmp_path / "laptop"
    shutil.copytree(tmp_path / "run", place, dirs_exist_ok=True)
    (place / "link").symlink_to(place)
    assert run_on_cluster(config, "smoke", Path(out), resume=True).succeeded
    assert (place / "made-here").is_file()
    assert (head / "trainbench/resumed").is_file()
    (run,) = (head / "trainbench/runs").glob("*/")
    assert run.name == remote_name(place)


def test_folders_of_the_same_name_are_apart_on_the_head(config: Path, head: Path) -> None:
    for place in ("a/mine", "b/mine"):
        run_on_cluster(config, "smoke", Path(place))
    assert len(list((head / "trainbench/runs").glob("*/"))) == 2


@pytest.mark.usefixtures("head")
def test_nothing_beside_the_folder_is_touched(config: Path) -> None:
    Path("mine.code").write_text("a user's")
    run_on_cluster(config, "smoke", Path("mine"))
    assert Path("mine.code").read_text() == "a user's"
    # Home, where Ray has its token, is the current folder here.
    assert {path.name for path in Path().iterdir()} - {".ray"} == {"mine", "mine.code"}


@pytest.mark.usefixtures("head")
@pytest.mark.parametrize("name", ["a:b.toml", "-s.toml", "it's mine.toml"])
def test_a_suite_of_any_name_is_sent(config: Path, head: Path, name: str) -> None:
    Path(name).write_text('name = "x"\n')
    run_on_cluster(config, name, Path("mine"))
    (sent,) = (head / "trainbench/suites").iterdir()
    assert sent.read_text() == 'name = "x"\n'


def test_a_folder_that_cannot_be_made_is_refused_before_the_cluster_starts(
    config: Path, head: Path
) -> None:
    Path("file").touch()
    with pytest.raises(StorageError, match="file is not a folder"):
        run_on_cluster(config, "smoke", Path("file/mine"))
    assert not (head / "trainbench/runs").exists()


@pytest.mark.usefixtures("head")
def test_results_that_cannot_be_fetched_are_said_to_be_on_the_head(
    config: Path, head: Path
) -> None:
    # rsync refuses to put a folder in the place of a file.
    program = head / "trainbench/.venv/bin/bench"
    program.write_text(f"{program.read_text()}\ntouch {Path.cwd()}/mine\n")
    with pytest.raises(DataError, match=f"still on the head.*{remote_name(Path('mine'))}"):
        run_on_cluster(config, "smoke", Path("mine"))


@pytest.mark.usefixtures("head")
def test_a_folder_that_has_something_in_it_is_not_written_to(config: Path) -> None:
    Path("mine").touch()
    with pytest.raises(ResourceError):
        run_on_cluster(config, "smoke", Path("~"))


@pytest.mark.usefixtures("head")
def test_the_current_folder_may_be_used_if_it_is_empty(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("empty").mkdir()
    monkeypatch.chdir("empty")
    assert run_on_cluster(config, "smoke", Path()).succeeded
    assert Path("made-here").is_file()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "reason"), [("kill -9 $$", "was killed by SIGKILL"), ("exec sleep 60", "within 1 s")]
)
def test_a_launcher_that_dies_or_hangs_is_an_error_with_its_reason(
    config: Path, head: Path, monkeypatch: pytest.MonkeyPatch, what: str, reason: str
) -> None:
    monkeypatch.setattr("bench.execution.launching.launch._STEP_S", 1.0)
    (head.parent / "scripts/ray").write_text(f"#!/bin/sh\n{what}\n")
    with pytest.raises(ResourceError, match=reason):
        run_on_cluster(config, "smoke", Path("mine"))


@pytest.mark.timeout(60)
def test_after_an_interrupt_a_silent_head_does_not_block(
    config: Path, head: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.execution.launching.launch._ANSWER_S", 1.0)
    ray = head.parent / "scripts/ray"
    # A grandchild waits, as ssh does below Ray's own command.
    ray.write_text(
        f'#!/bin/sh\ncase "$*" in *"bench run"*) touch {head}/gone; exec kill -INT $PPID;; esac\n'
        f"[ ! -e {head}/gone ] || sh -c 'echo $$ >> {head}/pids; exec sleep 600'\n"
    )
    with pytest.raises(KeyboardInterrupt):
        run_on_cluster(config, "smoke", Path("mine"))
    pids = (head / "pids").read_text().split()
    assert len(pids) > 0
    left = psutil.wait_procs([psutil.Process(int(p)) for p in pids if _runs(int(p))], timeout=10)
    assert left[1] == []


def _runs(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
