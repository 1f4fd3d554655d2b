"""The help and the version of the command."""

import importlib.metadata
import subprocess
import sys

import pytest

from bench.cli.version import version_text
from tests.cli.conftest import Command, error_line

COMMANDS = [
    *("suites", "copy-suite", "plan", "run", "report", "show", "publish", "verify-published"),
    *("doctor", "data", "data fetch"),
]


@pytest.mark.parametrize("words", ["", *COMMANDS, "data verify"])
def test_every_command_has_help(command: Command, words: str) -> None:
    result = command(*words.split(), "--help")
    assert (result.code, result.stderr) == (0, "")
    assert command(*words.split(), "-h") == result
    assert result.stdout.startswith(f"Usage: bench {words}".strip())
    assert "--help" in result.stdout


def test_help_names_every_command(command: Command) -> None:
    helped = command("--help").stdout
    assert all(words.split()[0] in helped for words in COMMANDS)
    assert "..." not in helped.partition("Commands:")[2]  # Typer cuts long sentences


def test_the_version_names_what_times_depend_on_and_imports_none_of_it() -> None:
    script = (
        "import sys\n"
        "from bench.cli.entry_point import exit_code\n"
        "assert exit_code(['--version']) == 0\n"
        "print(sorted({'tensorflow', 'ray', 'pydantic'} & set(sys.modules)), file=sys.stderr)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert result.stderr.strip() == "[]"
    (line,) = result.stdout.splitlines()
    for package in ("trainbench", "tensorflow", "ray"):
        assert importlib.metadata.version(package) in line


def test_a_package_that_is_not_installed_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.cli.version._PACKAGES", {"Nothing": "no-such-package"})
    assert "Nothing not installed" in version_text()


@pytest.mark.parametrize("words", ["", "data"])
def test_without_a_command_help_is_printed(command: Command, words: str) -> None:
    result = command(*words.split())
    assert result.code == 2
    assert result.stderr.startswith("Usage: bench")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("frob", "no command 'frob': use one of suites, copy-suite, plan,"),
        ("Plann", "did you mean 'plan'?"),
        ("version", "did you mean '--version'?"),
        ("verify_published", "did you mean 'verify-published'?"),
        ("data ftch", "did you mean 'fetch'?"),
        ("plan", "'SUITE': see bench plan --help"),
        ("plan quick notebook", "see bench plan --help"),
        ("plan quick --frob", "no option '--frob': use one of --"),
        ("plan quick --blcoks 3", "no option '--blcoks': did you mean '--blocks'?"),
        ("run quick --device tpu", "'tpu' is not one of 'auto', 'cpu', 'gpu'"),
        ("run quick --retries -1", "--retries"),
        ("plan quick --blocks many", "--blocks"),
    ],
)
def test_a_wrong_command_line_is_one_line_on_stderr(
    command: Command, line: str, reason: str
) -> None:
    assert reason in error_line(command(*line.split()), 2)


def test_commands_that_train_nothing_load_no_heavy_library() -> None:
    script = (
        "import sys\n"
        "from bench.cli.entry_point import exit_code\n"
        "for line in ('--help', '--version', 'suites', 'suites smoke', 'plan smoke'):\n"
        "    assert exit_code(line.split()) == 0\n"
        "heavy = {'tensorflow', 'keras', 'ray', 'pandas', 'pyarrow', 'scipy', 'numpy'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert result.stderr.strip() == "[]"
