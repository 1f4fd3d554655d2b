"""What the command says of itself."""

import subprocess
import sys

import pytest

from tests.cli.conftest import Command, complaint

COMMANDS = ["suites", "plan", "run", "report", "show", "doctor", "data", "data fetch"]


@pytest.mark.parametrize("words", ["", *COMMANDS, "data verify"])
def test_every_command_has_its_help(command: Command, words: str) -> None:
    done = command(*words.split(), "--help")
    assert (done.code, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: bench {words}".strip())
    assert "--help" in done.stdout


def test_help_names_every_command(command: Command) -> None:
    helped = command("--help").stdout
    assert all(words.split()[0] in helped for words in COMMANDS)


@pytest.mark.parametrize("words", ["", "data"])
def test_no_command_at_all_is_answered_with_the_help(command: Command, words: str) -> None:
    done = command(*words.split())
    assert done.code == 2
    assert done.stderr.startswith("Usage: bench")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("frob", "No such command 'frob': see --help"),
        ("plan", "Missing argument 'SUITE': see --help"),
        ("plan quick --frob", "No such option: --frob"),
        ("run quick --device tpu", "--device"),
        ("run quick --retries -1", "--retries"),
        ("plan quick --blocks many", "--blocks"),
    ],
)
def test_a_wrong_command_line_is_a_line_on_stderr(command: Command, line: str, reason: str) -> None:
    assert reason in complaint(command(*line.split()), 2)


def test_what_trains_nothing_loads_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "from bench.cli.exit import exit_code\n"
        "for line in ('--help', 'suites', 'plan smoke'):\n"
        "    assert exit_code(line.split()) == 0\n"
        "heavy = {'tensorflow', 'keras', 'ray', 'pandas', 'pyarrow', 'scipy', 'numpy'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == "[]"
