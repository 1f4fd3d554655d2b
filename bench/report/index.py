"""The list of published runs: README.md for a forge, index.html for a browser.

Usage:
    write_indexes(Path("results/published"))
    stale_indexes(Path("results/published"))       # those that are not the list of what is there
"""

import shlex
from dataclasses import dataclass
from pathlib import Path

from bench.errors import RunFolderError
from bench.files.folder import Folder
from bench.records.disk import write_aside
from bench.records.store import RunFolder, RunInfo
from bench.report import escape
from bench.report.page.build import template
from bench.report.page.embed import asset


@dataclass(frozen=True)
class Entry:
    """One published run."""

    name: str
    question: str
    command: str
    taken_on: str


def published(place: Path, *, but: str | None = None) -> list[Path]:
    """The published folders of ``place``, by name, without the one called ``but``.

    RunFolderError where one is a link.
    """
    found = sorted(path.parent for path in place.glob("*/run.json") if path.parent.name != but)
    for folder in found:
        if folder.is_symlink():
            raise RunFolderError(f"{folder}: is a symbolic link: put the folder itself there")
    return found


def entries(place: Path, *, but: str | None = None) -> list[Entry]:
    """What ``place`` holds, by name, without the folder called ``but``.

    RunFolderError, naming the file, where one of the folders cannot be read.
    """
    found = []
    for folder in published(place, but=but):
        info = RunFolder.open(folder).info()
        question = " ".join(info.suite.get("description", "").split())
        when = info.invocations[0].started_at[:10] if info.invocations else "?"
        found.append(Entry(folder.name, question, _command(info), when))
    return found


def markdown_index(place: Path) -> str:
    """The list in Markdown."""
    rows = []
    for entry in entries(place):
        name, folder = escape.markdown(entry.name), escape.link(entry.name)
        links = f"[{name}]({folder}/summary.md), [page]({folder}/index.html)"
        question, command = escape.markdown(entry.question), escape.markdown_code(entry.command)
        rows.append(f"| {links} | {question} | {command} | {entry.taken_on} |")
    return "\n".join([_MARKDOWN, *rows, ""])


def html_index(place: Path) -> str:
    """The list as a page that opens from a file and asks for nothing."""
    found = template("index.html.j2").render(entries=entries(place), style=asset("page.css"))
    return found if found.endswith("\n") else found + "\n"


INDEXES = {"README.md": markdown_index, "index.html": html_index}


def write_indexes(place: Path) -> None:
    """Make every list of ``place`` anew."""
    for name, text_of in INDEXES.items():
        write_aside(Folder(place), name, text_of(place))


def stale_indexes(place: Path) -> list[Path]:
    """The lists of ``place`` that are missing or not what it holds."""
    return [
        place / name
        for name, text_of in INDEXES.items()
        if not _holds(Folder(place), name, text_of(place).encode())
    ]


def _holds(place: Folder, name: str, content: bytes) -> bool:
    try:
        return place.read(name, len(content)) == content
    except OSError:
        return False


def _command(info: RunInfo) -> str:
    """The command that began the run, without its folder, which is nobody else's."""
    words = list(info.invocations[0].command) if info.invocations else []
    if "--out" in words:
        del words[(at := words.index("--out")) : at + 2]
    return shlex.join(word for word in words if not word.startswith("--out="))


_MARKDOWN = """\
# Published runs

Each folder holds `run.json` and `records.jsonl`, and what is made from these two alone: the
report (`summary.md`, `.csv`, `.tex`, and `index.html`, a page that opens from a file), its charts,
all trials and epochs, the suite. `bench verify-published` makes it all anew and compares.
`bench report FOLDER --out ...` and pandas read a folder as they read any run. This list, and the
same as a page (`index.html`), is made by `bench publish`.

| run | what its suite asks | what was run of it | taken on |
|---|---|---|---|"""
