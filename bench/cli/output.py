"""What the commands print: results to stdout, everything else to stderr."""

import shlex
import sys
import traceback
from collections.abc import Collection
from pathlib import Path

from bench.report.text.escaping import visible


def resume_command(path: Path | None) -> str:
    """The command line that goes on with this one's run, whose folder is ``path``."""
    words = [word for word in sys.argv[1:] if word != "--resume"]
    if path and not any(word == "--out" or word.startswith("--out=") for word in words):
        words += ["--out", str(path)]
    return shlex.join(["bench", *words, "--resume"])


def shell_word(path: Path) -> str:
    """``path`` as one word of a command line that no command takes for an option."""
    text = str(path)
    return shlex.quote(f"./{text}" if text.startswith("-") else text)


def interruption(path: Path | None) -> str:
    """What an interrupted run, whose folder was to be ``path``, has left behind."""
    from bench.errors import RunFolderError
    from bench.records.run_folder import RunFolder

    try:
        RunFolder.open(path or Path())
    except RunFolderError:  # it had not come so far, or its folder is still on a cluster
        return "interrupted: no run folder was made here: call it again"
    return f"interrupted: what had finished is kept; go on by {resume_command(path)}"


def remedy(path: Path, statuses: Collection[str]) -> str:
    """What to do about trials of the run at ``path`` that gave no answer."""
    from bench.records.trial_record import FINAL_STATUSES

    lacking = "not every trial completed (see the footnotes): "
    if not set(statuses) <= FINAL_STATUSES:
        return f"{lacking}mend what they name, then {resume_command(path)}"
    return (
        f"{lacking}what was out of memory stays so when resumed: lower the batch or the model, "
        f"or delete those trials' files in {path / 'trials'} and go on by {resume_command(path)}"
    )


def print_result(text: str) -> None:
    """A result, of one line or several."""
    sys.stdout.write("\n".join(map(visible, text.split("\n"))) + "\n")


def print_error(text: str) -> None:
    """A line to whoever called."""
    sys.stderr.write(f"bench: {visible(text)}\n")


def show_traceback() -> None:
    """The traceback of the exception that is being handled."""
    for line in traceback.format_exc().splitlines():
        sys.stderr.write(f"{visible(line)}\n")
