"""What the commands print: results to stdout, everything else to stderr."""

import shlex
import sys
from pathlib import Path


def resume_command(path: Path | None) -> str:
    """The command line that goes on with this one's run, whose folder is ``path``."""
    words = [word for word in sys.argv[1:] if word != "--resume"]
    if path and not any(word == "--out" or word.startswith("--out=") for word in words):
        words += ["--out", str(path)]
    return shlex.join(["bench", *words, "--resume"])


def say(text: str) -> None:
    """A result."""
    sys.stdout.write(text + "\n")


def complain(text: str) -> None:
    """A line to whoever called."""
    sys.stderr.write(f"bench: {text}\n")
