"""Run the command in the process of the tests: quick, for all but real exits."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.sample_suites import TINY, write_suite


@dataclass(frozen=True)
class CommandResult:
    """The exit code and the output of a command line."""

    code: int
    stdout: str
    stderr: str


Command = Callable[..., CommandResult]


@pytest.fixture
def command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Command:
    """Run a command line, without "bench", in an empty folder."""
    from bench.cli.entry_point import exit_code

    monkeypatch.chdir(tmp_path)

    def run(*words: str | Path) -> CommandResult:
        line = [str(word) for word in words]
        monkeypatch.setattr(sys, "argv", ["bench", *line])
        capsys.readouterr()
        code = exit_code(line)
        out, err = capsys.readouterr()
        return CommandResult(code, out, err)

    return run


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """The tiny suite's file."""
    return write_suite(tmp_path / "tiny.toml", TINY)


@pytest.fixture
def finished_run(command: Command, tiny: Path, tmp_path: Path) -> Path:
    """The folder of a simulated run of the tiny suite."""
    result = command("run", tiny, "--executor", "simulated", "--out", tmp_path / "made")
    assert result.code == 0, result.stderr
    return tmp_path / "made"


def error_line(result: CommandResult, code: int) -> str:
    """Return the one line on stderr of a command that failed with ``code``, without "bench: "."""
    assert (result.code, result.stdout) == (code, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("bench: ")
    return line.removeprefix("bench: ")
