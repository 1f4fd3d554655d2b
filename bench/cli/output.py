"""Print the output of commands: results to stdout, everything else to stderr."""

import shlex
import sys
import traceback
from collections.abc import Collection
from pathlib import Path

from bench.errors import RunFolderError
from bench.report.text.escaping import visible


def resume_command(path: Path | None) -> str:
    """Return the command line that resumes the current one's run, in the folder ``path``."""
    words = [word for word in sys.argv[1:] if word != "--resume"]
    if path and not any(word == "--out" or word.startswith("--out=") for word in words):
        words += ["--out", str(path)]
    return shlex.join(["bench", *words, "--resume"])


def shell_word(path: Path) -> str:
    """Return ``path`` as one word of a command line that cannot be taken for an option."""
    text = str(path)
    return shlex.quote(f"./{text}" if text.startswith("-") else text)


def interruption_message(path: Path | None) -> str:
    """Return what remains of an interrupted run in the folder ``path``, and how to resume it."""
    from bench.records.run_folder import RunFolder

    try:
        RunFolder.open(path or Path())
    except RunFolderError:  # interrupted earlier, or its folder is still on a cluster
        return "interrupted: there is no run folder here: run the command again"
    return f"interrupted: finished trials are kept; resume with {resume_command(path)}"


def failure_advice(path: Path, statuses: Collection[str]) -> str:
    """Return what to do about failed trials of the run at ``path``."""
    from bench.records.trial_record import FINAL_STATUSES

    problem = "not every trial completed (see the footnotes): "
    if not set(statuses) <= FINAL_STATUSES:
        return f"{problem}fix the causes, then {resume_command(path)}"
    return (
        f"{problem}--resume does not repeat trials that were out of memory: use a smaller batch or "
        f"model, or delete their files in {path / 'trials'} and resume with {resume_command(path)}"
    )


def print_result(text: str) -> None:
    """Print a result of one or more lines to stdout."""
    sys.stdout.write("\n".join(map(visible, text.split("\n"))) + "\n")


def print_error(text: str) -> None:
    """Print one line to stderr."""
    sys.stderr.write(f"bench: {visible(text)}\n")


def show_traceback() -> None:
    """Print the traceback of the exception that is being handled."""
    for line in traceback.format_exc().splitlines():
        sys.stderr.write(f"{visible(line)}\n")
