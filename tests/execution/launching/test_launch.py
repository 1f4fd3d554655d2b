"""A suite on a launcher's cluster: what is asked of Ray and of the head, and what is refused."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.errors import UsageError
from bench.execution.launching import launch as launcher
from bench.execution.launching.launch import HOME, launch, planned_nodes, remote_command
from tests.support.other_users import SPECIAL, plant
from tests.support.paths import ROOT

CLUSTERS = ROOT / "clusters"


@pytest.fixture
def in_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of clusters/ name what they send by paths from the top of the source."""
    monkeypatch.chdir(CLUSTERS.parent)


@pytest.mark.usefixtures("in_source")
@pytest.mark.parametrize(("name", "nodes"), [("local", 1), ("onprem", 3), ("aws", 3), ("gcp", 3)])
def test_the_nodes_that_a_run_waits_for_are_the_head_and_the_least_workers(
    capsys: pytest.CaptureFixture[str], name: str, nodes: int
) -> None:
    assert planned_nodes(CLUSTERS / f"{name}.yaml") == nodes
    assert capsys.readouterr().out == ""


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.yaml: No such file"):
        planned_nodes(tmp_path / "nowhere.yaml")


def test_a_folder_s_name_is_one_word_to_the_head_s_shell() -> None:
    command = remote_command(["smoke"], "mine; rm x", 1)
    assert "'--out=runs/mine; rm x'" in command
    assert "echo $? > 'runs/mine; rm x.code'" in command


@pytest.mark.usefixtures("in_source")
@pytest.mark.parametrize("text", ["", "[]", "a: [", "cluster_name: x", "kind: RayJob"])
def test_a_file_that_is_not_for_the_launcher_is_refused_in_one_line(
    tmp_path: Path, text: str
) -> None:
    file = tmp_path / "odd.yaml"
    file.write_text(text)
    with pytest.raises(UsageError, match=r"odd\.yaml: not a file for Ray's launcher") as refused:
        planned_nodes(file)
    assert "\n" not in str(refused.value)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", [*SPECIAL, "link to a device", "huge"])
def test_what_never_ends_is_refused(tmp_path: Path, kind: str) -> None:
    plant(kind, tmp_path / "odd.yaml")
    with pytest.raises(UsageError, match=r"odd\.yaml: "):
        planned_nodes(tmp_path / "odd.yaml")


@pytest.mark.timeout(60)
@pytest.mark.usefixtures("in_source")
def test_aliases_of_aliases_are_refused_before_ray_walks_through_them(tmp_path: Path) -> None:
    lines = ["setup_commands:", "  - &x0 [a, a, a, a, a, a, a, a, a]"]
    lines += [f"  - &x{i + 1} [{', '.join([f'*x{i}'] * 9)}]" for i in range(9)]
    file = tmp_path / "odd.yaml"
    file.write_text((CLUSTERS / "onprem.yaml").read_text() + "\n" + "\n".join(lines))
    with pytest.raises(UsageError, match="values"):
        planned_nodes(file)


def test_elsewhere_than_in_the_source_what_would_not_be_sent_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"pyproject\.toml does not exist"):
        planned_nodes(CLUSTERS / "onprem.yaml")


@pytest.fixture
def head(tmp_path: Path) -> Path:
    """The home of a head whose environment writes down what it is called with."""
    programs = tmp_path / "trainbench/.venv/bin"
    programs.mkdir(parents=True)
    (tmp_path / "trainbench/runs").mkdir()
    for name in ("python", "bench"):
        script = programs / name
        script.write_text(
            f'#!/bin/sh\nfor word in {name} "$@"; do echo "$word" >> calls; done\n'
            f"echo the table\nexit $(cat {name}.code 2> /dev/null || echo 0)\n"
        )
        script.chmod(0o755)
    return tmp_path


def _called(head: Path, *words: str) -> tuple[str, list[str]]:
    """What a head prints when it runs ``words`` on three nodes, and what it called."""
    done = subprocess.run(
        ["bash", "-c", remote_command(words, "mine", 3)],
        env={**os.environ, "HOME": str(head)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout, (head / "trainbench/calls").read_text().splitlines()


def test_the_head_waits_for_its_nodes_and_then_runs_the_suite(head: Path) -> None:
    _, calls = _called(head, "smoke", "--set=norm=none,layer norm", "--resume")
    assert calls[:4] == ["python", "-m", "bench.execution.launching.wait_for_nodes", "3"]
    assert calls[calls.index("bench") :] == [
        *["bench", "run", "smoke", "--set=norm=none,layer norm", "--resume"],
        *["--address=auto", "--out=runs/mine"],
    ]


@pytest.mark.parametrize("code", [0, 2, 5, 130])
def test_the_exit_code_is_written_beside_the_run_folder(head: Path, code: int) -> None:
    (head / "trainbench/bench.code").write_text(str(code))
    _called(head, "smoke")
    assert int((head / "trainbench/runs/mine.code").read_text()) == code


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
def test_the_exit_code_is_written_although_the_connection_ends(
    head: Path, number: signal.Signals
) -> None:
    waits = "import signal, sys, time\n" + "".join(
        f"signal.signal(signal.{n}, lambda *_: sys.exit(130))\n"
        for n in ("SIGHUP", "SIGINT", "SIGTERM")
    )
    script = head / "trainbench/.venv/bin/bench"
    script.write_text(f"#!{sys.executable}\n{waits}open('ready', 'w').close()\ntime.sleep(60)\n")
    with subprocess.Popen(
        ["bash", "-c", remote_command(["smoke"], "mine", 3)],
        env={**os.environ, "HOME": str(head)},
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    ) as shell:
        ends = time.monotonic() + 60
        while not (head / "trainbench/ready").exists() and time.monotonic() < ends:
            time.sleep(0.05)
        os.killpg(shell.pid, number)
    assert int((head / "trainbench/runs/mine.code").read_text()) == 130


def test_nothing_runs_if_nodes_are_missing(head: Path) -> None:
    (head / "trainbench/python.code").write_text("2")
    _, calls = _called(head, "smoke")
    assert "bench" not in calls
    assert int((head / "trainbench/runs/mine.code").read_text()) == 2


@pytest.mark.usefixtures("in_source")
def test_modules_go_along_with_the_suite_s_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def ray(words: Sequence[str], *_: object, **__: object) -> bool:
        asked.append(list(words))
        return True

    monkeypatch.setenv("HOME", str(tmp_path))  # where the token is
    monkeypatch.setattr(launcher, "_ray", ray)
    monkeypatch.setattr(launcher, "_bring_back", lambda *_: 0)
    suite, file, package = (tmp_path / name for name in ("mine.toml", "mine.py", "nets"))
    suite.touch()
    package.mkdir()
    config = CLUSTERS / "local.yaml"
    launch(config, str(suite), tmp_path / "run", modules=[file, package])
    sent = [words[2:] for words in asked if words[0] == "rsync-up"]
    assert sent == [
        [str(suite), f"{HOME}/suites/{launcher.remote_name(suite)}.toml"],
        [str(file), f"{HOME}/suites/mine.py"],
        [f"{package}/", f"{HOME}/suites/nets/"],
    ]
