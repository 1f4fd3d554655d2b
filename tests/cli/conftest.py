"""The command in this very process: quick, where no exit of a real process is at stake."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.sample_suites import TINY, written


@dataclass(frozen=True)
class Done:
    """How a command line ended."""

    code: int
    stdout: str
    stderr: str


Command = Callable[..., Done]


@pytest.fixture
def command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Command:
    """Call it with the words behind "bench"; it runs in an empty folder."""
    from bench.cli.exit import exit_code

    monkeypatch.chdir(tmp_path)

    def run(*words: str | Path) -> Done:
        line = [str(word) for word in words]
        monkeypatch.setattr(sys, "argv", ["bench", *line])
        capsys.readouterr()
        code = exit_code(line)
        out, err = capsys.readouterr()
        return Done(code, out, err)

    return run


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """The tiny suite's file."""
    return written(tmp_path / "tiny.toml", TINY)


@pytest.fixture
def made(command: Command, tiny: Path, tmp_path: Path) -> Path:
    """A finished run of the tiny suite, simulated."""
    done = command("run", tiny, "--executor", "simulated", "--out", tmp_path / "made")
    assert done.code == 0, done.stderr
    return tmp_path / "made"


def complaint(done: Done, code: int) -> str:
    """What a command that failed with ``code`` complained of, in its one line on stderr."""
    assert (done.code, done.stdout) == (code, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("bench: ")
    return line.removeprefix("bench: ")
