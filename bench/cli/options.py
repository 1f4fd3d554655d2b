"""Arguments and options that several commands share, and the suite that they ask for."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bench.cli import completion
from bench.cli.set_option import parse_settings
from bench.errors import UsageError

if TYPE_CHECKING:
    from bench.spec.suite import Suite


def expanded(given: Any) -> Any:
    """What Typer read of paths or of a suite's name, with home folders in the place of tildes.

    A shell leaves the tilde of ``--out=~/mine``.
    """
    from bench.files.user_path import user_path

    if isinstance(given, list | tuple):
        return [expanded(one) for one in given]
    if isinstance(given, str):
        return str(user_path(given)) if given.startswith("~") else given
    return given and user_path(given)


SuiteName = Annotated[
    str,
    typer.Argument(
        metavar="SUITE",
        help="A shipped suite, or a file.",
        callback=expanded,
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
        help="Keep these variants alone: AXIS=VALUE, a label, or an id from bench plan.",
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
        callback=expanded,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs to read.")]
Device = Annotated[
    Literal["auto", "cpu", "gpu"],
    typer.Option(help="Train on GPUs where there are any (auto).", case_sensitive=False),
]
PlanDevice = Annotated[
    Literal["auto", "cpu", "gpu"],
    typer.Option(
        "--device", help="Plan for this kind of device (auto: what is here).", case_sensitive=False
    ),
]


def asked_suite(
    name: str, changes: list[str] | None, blocks: int | None, only: list[str] | None
) -> "Suite":
    """The suite called ``name`` as the command line has it. Raises SuiteError."""
    from bench.spec.suite import load_suite

    if (Path(name) / "run.json").is_file():
        raise UsageError(f"{name}: is a run folder and no suite: bench report {name} reads it")
    settings = parse_settings(changes or [])
    if blocks is not None:
        settings["blocks"] = blocks
    if only:
        settings["only"] = only
    return load_suite(name, settings)


def check_run_folder(path: Path) -> None:
    """Raise RunFolderError where nothing is at ``path``, with the run folder that was meant."""
    from bench.errors import RunFolderError
    from bench.spec.suggestion import near_misses, nearest

    if path.exists():
        return
    known = {
        Path(folder).name: folder
        for folder in (*completion.run_folders(""), *completion.run_folders(f"{path.parent}/"))
    }
    hint = ": name one that bench run made"
    if close := near_misses(path.name, known):
        hint = nearest(str(path), [known[name] for name in close])
    elif known:
        latest = max(known.values(), key=lambda folder: (Path(folder) / "run.json").stat().st_mtime)
        hint += f", such as the latest, {latest}"
    raise RunFolderError(f"{path}: no such run folder{hint}")
