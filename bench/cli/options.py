"""Arguments and options that several commands share, and the suite that they select."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bench.cli import completion
from bench.cli.set_option import parse_settings
from bench.errors import RunFolderError, UsageError
from bench.files.user_path import user_path
from bench.spec.suggestion import near_misses, nearest

if TYPE_CHECKING:
    from bench.spec.suite import Suite


def parse_path(text: str | Path) -> Path:
    """Expand a leading tilde in a path: a parser for Typer.

    A shell does not expand the tilde of ``--out=~/mine``. It expands a variable that is not set to
    an empty text, which must not mean the current folder.
    """
    if not str(text):
        raise typer.BadParameter("the path is empty: name one")
    return user_path(text)


def expand_home(suite: str | None) -> str | None:
    """Expand a leading tilde in a suite's name: a callback for Typer."""
    return str(user_path(suite)) if suite and suite.startswith("~") else suite


SuiteName = Annotated[
    str,
    typer.Argument(
        metavar="SUITE",
        help="A shipped suite, or a file.",
        callback=expand_home,
        autocompletion=completion.suite_names,
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Replace a key of the suite or an axis.",
        autocompletion=completion.settings,
    ),
]
Only = Annotated[
    list[str] | None,
    typer.Option(
        "--only",
        metavar="WHICH",
        help="Keep only these variants: AXIS=VALUE, a label, or an id from bench plan.",
        autocompletion=completion.selections,
    ),
]
Blocks = Annotated[int | None, typer.Option("--blocks", help="Repeats of every comparison.")]
RunPath = Annotated[
    Path,
    typer.Argument(
        metavar="RUN",
        help="A run folder.",
        autocompletion=completion.run_folders,
        parser=parse_path,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs to read.")]
Device = Annotated[
    Literal["auto", "cpu", "gpu"],
    typer.Option(help="Device to train on (auto: GPUs if there are any).", case_sensitive=False),
]
PlanDevice = Annotated[
    Literal["auto", "cpu", "gpu"],
    typer.Option(
        "--device",
        help="Plan for this kind of device (auto: this machine's).",
        case_sensitive=False,
    ),
]


def load_selected_suite(
    name: str,
    changes: list[str] | None,
    blocks: int | None,
    only: list[str] | None,
    precision: float | None = None,
) -> "Suite":
    """Load the suite ``name`` with the changes of the command line. Raises SuiteError."""
    from bench.spec.suite import load_suite

    if (Path(name) / "run.json").is_file():
        raise UsageError(f"{name}: is a run folder, not a suite: bench report {name} reads it")
    settings = parse_settings(changes or [])
    if blocks is not None:
        settings["blocks"] = blocks
    if precision is not None:
        settings["precision"] = precision
    if only:
        settings["only"] = only
    return load_suite(name, settings)


def check_run_folder(path: Path) -> None:
    """Raise RunFolderError if ``path`` does not exist, and suggest the folder that was meant."""
    if path.exists():
        return
    folders = {
        Path(folder).name: folder
        for folder in (*completion.run_folders(""), *completion.run_folders(f"{path.parent}/"))
    }
    hint = ": name a folder that bench run made"
    if close := near_misses(path.name, folders):
        hint = nearest(str(path), [folders[name] for name in close])
    elif folders:
        latest = max(
            folders.values(), key=lambda folder: (Path(folder) / "run.json").stat().st_mtime
        )
        hint += f", such as the latest, {latest}"
    raise RunFolderError(f"{path}: no such run folder{hint}")
