"""Complete a word on the command line for the shell.

Usage:
    typer.Argument(autocompletion=suite_names)
    with rejoin_words(os.environ): app(...)      # for bash

If nothing matches, a function returns nothing, and the shell offers files.
"""

import contextlib
import io
import re
import sys
from collections.abc import Collection, Iterator, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from bench.spec.device import RequestedDevice
    from bench.spec.expand import Cell

REQUEST = "_BENCH_COMPLETE"
"""The variable with which a shell requests completions."""

_RUNS = Path("results/runs")
_SPECIAL = re.compile(r"[^\w@%+=:,./-]", re.ASCII)
"""Characters that may be special to a shell: those that ``shlex.quote`` quotes."""
_TABLES = ("variant", "matrix", "variants", "exclude", "compare")
"""Keys of a suite that KEY=VALUE cannot set."""


def suite_names(incomplete: str) -> list[str]:
    """Return the shipped suites."""
    from bench.spec.suite import shipped_suites

    return [name for name in shipped_suites() if name.startswith(incomplete)]


def settings(incomplete: str) -> list[str]:
    """Return KEY= for every key of a suite and every axis; the named values if one key matches.

    Of ``norm=none,b`` it completes the last value.
    """
    from bench.spec.axes import AXES
    from bench.spec.suite import Suite

    keys = (key for key in Suite.model_fields if key not in _TABLES)
    return _assignments([*dict.fromkeys((*AXES, *keys))], incomplete)


def selections(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return AXIS= for every axis, as ``settings`` does, and labels and ids of the named suite."""
    from bench.spec.axes import AXES

    # An option without a value, such as the one to complete, leaves arguments unparsed.
    suite = ctx.params.get("suite") or next(iter(ctx.args), None)
    cells = _cells(suite, ctx.params.get("device") or "auto")
    # A label with an equals sign consists of settings, which are offered one by one.
    labels = [cell.label for cell in cells if "=" not in cell.label]
    names = [name for name in (*labels, *(c.id for c in cells)) if name.startswith(incomplete)]
    return [*_assignments(AXES, incomplete), *names]


def _cells(suite: str | None, device: "RequestedDevice") -> "tuple[Cell, ...]":
    """Return the cells of ``suite`` on ``device``; none if there is no such suite or no cell."""
    from bench.errors import UsageError
    from bench.execution.gpus.device_kind import local_device
    from bench.spec.expand import expand
    from bench.spec.suite import load_suite

    try:
        return expand(load_suite(suite), local_device(device).type) if suite else ()
    except UsageError:
        return ()


def _assignments(keys: Collection[str], incomplete: str) -> list[str]:
    from bench.spec.axis_validation import choices_of
    from bench.spec.variant import Variant

    key, equals, value = incomplete.partition("=")
    if equals and key not in keys:
        return []
    if not equals:
        matches = [name for name in keys if name.startswith(key)]
        if len(matches) != 1:
            return [f"{name}=" for name in matches]
        key = matches[0]
    field = Variant.model_fields.get(key)
    earlier, comma, _ = value.rpartition(",")
    values = choices_of(field.annotation) if field else []
    return [f"{key}={earlier}{comma}{one}" for one in values] or [f"{key}="]


def run_folders(incomplete: str) -> list[str]:
    """Return matching run folders: here, in ``results/runs``, or in the folder that is typed."""
    parents = {Path(), _RUNS, Path(f"{incomplete}*").parent}
    folders = {str(file.parent) for parent in parents for file in parent.glob("*/run.json")}
    return sorted(folder for folder in folders if folder.startswith(incomplete))


def trials(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the trials of the run folder that the command line names."""
    folder = Path(ctx.params.get("run") or "") / "trials"
    names = sorted(file.stem for file in folder.glob("*.json") if ".attempt" not in file.name)
    return [name for name in names if name.startswith(incomplete)]


@contextlib.contextmanager
def rejoin_words(environ: MutableMapping[str, str]) -> Iterator[None]:
    """For bash, join the words that it has split at "=", and offer only the part after it.

    To bash ``--set norm=b`` ends in the words "norm", "=" and "b", and it replaces the last one.
    It adds no quotes, so characters that would end a word are escaped.
    """
    words, position = environ.get("COMP_WORDS", "").split("\n"), environ.get("COMP_CWORD", "")
    if environ.get(REQUEST) != "complete_bash" or not position.isdecimal():
        yield
        return
    joined = _joined(words[: int(position) + 1])
    if "=" in words:
        environ.update({"COMP_WORDS": "\n".join(joined), "COMP_CWORD": str(len(joined) - 1)})
    typed = joined[-1].partition("=")[2] if joined[-1].startswith("--") else joined[-1]
    output = io.StringIO()
    try:
        with contextlib.redirect_stdout(output):
            yield
    finally:
        prefix = typed[: typed.rfind("=") + 1]
        for line in output.getvalue().splitlines():
            sys.stdout.write(_SPECIAL.sub(r"\\\g<0>", line.removeprefix(prefix)) + "\n")


def _joined(words: list[str]) -> list[str]:
    joined: list[str] = []
    for before, word in zip(["", *words], words, strict=False):
        if "=" in (before, word) and joined:
            joined[-1] += word
        else:
            joined.append(word)
    return joined
