"""What the shell may offer for a word that is half typed.

Usage:
    typer.Argument(autocompletion=suite_names)
    with whole_words(os.environ): app(...)      # where bash asks

Nothing is offered where nothing fits, and the shell then offers files.
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
    from bench.execution.gpus.device_kind import Device
    from bench.spec.expand import Cell

REQUEST = "_BENCH_COMPLETE"
"""The variable by which a shell asks for completions."""

_RUNS = Path("results/runs")
_SPECIAL = re.compile(r"[^\w@%+=:,./-]", re.ASCII)
"""What a shell may read as more than itself; the characters that ``shlex.quote`` quotes."""
_TABLES = ("variant", "matrix", "variants", "exclude", "compare")
"""Keys of a suite that no KEY=VALUE sets."""


def suite_names(incomplete: str) -> list[str]:
    """The shipped suites."""
    from bench.spec.suite import shipped_suites

    return [name for name in shipped_suites() if name.startswith(incomplete)]


def settings(incomplete: str) -> list[str]:
    """KEY= of every key of a suite and every axis; with the values that have names, one key alone.

    ``norm=none,b`` is completed in its last value.
    """
    from bench.spec.suite import Suite
    from bench.spec.variant import AXES

    return _assignments(
        [*AXES, *(key for key in Suite.model_fields if key not in _TABLES)], incomplete
    )


def selections(ctx: typer.Context, incomplete: str) -> list[str]:
    """AXIS= of every axis, as ``settings`` has them; labels and ids of the suite that is named."""
    from bench.spec.variant import AXES

    # An option that lacks its value, as the one to be completed, leaves arguments unread.
    suite = ctx.params.get("suite") or next(iter(ctx.args), None)
    cells = _cells(suite, ctx.params.get("device") or "auto")
    # A label with an equals sign is made of settings, which are offered as such.
    labels = [cell.label for cell in cells if "=" not in cell.label]
    named = [name for name in (*labels, *(c.id for c in cells)) if name.startswith(incomplete)]
    return [*_assignments(AXES, incomplete), *named]


def _cells(suite: str | None, device: "Device") -> "tuple[Cell, ...]":
    """The cells of ``suite`` on ``device``; none where it has none there, or is no suite."""
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
        fitting = [name for name in keys if name.startswith(key)]
        if len(fitting) != 1:
            return [f"{name}=" for name in fitting]
        key = fitting[0]
    field = Variant.model_fields.get(key)
    earlier, comma, _ = value.rpartition(",")
    values = choices_of(field.annotation) if field else []
    return [f"{key}={earlier}{comma}{one}" for one in values] or [f"{key}="]


def run_folders(incomplete: str) -> list[str]:
    """Run folders that begin so: here, in ``results/runs``, or where the word points."""
    places = {Path(), _RUNS, Path(f"{incomplete}*").parent}
    found = {str(file.parent) for place in places for file in place.glob("*/run.json")}
    return sorted(folder for folder in found if folder.startswith(incomplete))


def trials(ctx: typer.Context, incomplete: str) -> list[str]:
    """The trials of the run folder that stands before."""
    folder = Path(ctx.params.get("run") or "") / "trials"
    found = sorted(file.stem for file in folder.glob("*.json") if ".attempt" not in file.name)
    return [name for name in found if name.startswith(incomplete)]


@contextlib.contextmanager
def whole_words(environ: MutableMapping[str, str]) -> Iterator[None]:
    """Where bash asks, join what it has split at "=", and answer with the part after it.

    To bash ``--set norm=b`` ends in the words "norm", "=" and "b", of which it replaces the last.
    It adds no quotes: what it would take for the end of a word is escaped.
    """
    words, place = environ.get("COMP_WORDS", "").split("\n"), environ.get("COMP_CWORD", "")
    if environ.get(REQUEST) != "complete_bash" or not place.isdecimal():
        yield
        return
    whole = _joined(words[: int(place) + 1])
    if "=" in words:
        environ.update({"COMP_WORDS": "\n".join(whole), "COMP_CWORD": str(len(whole) - 1)})
    typed = whole[-1].partition("=")[2] if whole[-1].startswith("--") else whole[-1]
    offered = io.StringIO()
    try:
        with contextlib.redirect_stdout(offered):
            yield
    finally:
        shown = typed[: typed.rfind("=") + 1]
        for line in offered.getvalue().splitlines():
            sys.stdout.write(_SPECIAL.sub(r"\\\g<0>", line.removeprefix(shown)) + "\n")


def _joined(words: list[str]) -> list[str]:
    whole: list[str] = []
    for before, word in zip(["", *words], words, strict=False):
        if "=" in (before, word) and whole:
            whole[-1] += word
        else:
            whole.append(word)
    return whole
