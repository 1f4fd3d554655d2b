"""List the published runs, in README.md for a code forge and in index.html for a browser.

Usage:
    write_indexes(Path("results/published"))
    stale_indexes(Path("results/published"))       # the lists that do not match the folders
"""

import shlex
from dataclasses import dataclass
from pathlib import Path

from bench.errors import RunFolderError
from bench.files.folder import Folder
from bench.records.atomic_write import write_atomically
from bench.records.run_folder import RunFolder
from bench.records.run_info import RunInfo
from bench.report.page.embedding import asset
from bench.report.page.page_build import template
from bench.report.text import escaping
from bench.report.text.number_text import UNKNOWN


@dataclass(frozen=True)
class Entry:
    """One published run."""

    name: str
    question: str
    command: str
    taken_on: str


def published_folders(root: Path, *, exclude: str | None = None) -> list[Path]:
    """Return the published folders in ``root``, sorted, without the one named ``exclude``.

    Raises RunFolderError if one of them is a link.
    """
    paths = (path.parent for path in root.glob("*/run.json"))
    folders = sorted(folder for folder in paths if folder.name != exclude)
    for folder in folders:
        if folder.is_symlink():
            raise RunFolderError(f"{folder}: is a symbolic link: put the folder itself there")
    return folders


def index_entries(root: Path, *, exclude: str | None = None) -> list[Entry]:
    """Return an entry for each published folder in ``root`` except the one named ``exclude``.

    Raises RunFolderError, with the file's name, if one of the folders is damaged.
    """
    entries = []
    for folder in published_folders(root, exclude=exclude):
        info = RunFolder.open(folder).info()
        question = " ".join(info.suite.get("description", "").split())
        date = info.invocations[0].started_at[:10] if info.invocations else "?"
        entries.append(Entry(folder.name, question, _command(info), date))
    return entries


def markdown_index(root: Path) -> str:
    """Return the list of the runs in ``root`` as Markdown."""
    rows = []
    for entry in index_entries(root):
        name, folder = escaping.markdown(entry.name), escaping.link(entry.name)
        links = f"[{name}]({folder}/summary.md), [page]({folder}/index.html)"
        question = escaping.markdown(entry.question)
        command = escaping.markdown_code(entry.command) if entry.command else UNKNOWN
        rows.append(f"| {links} | {question} | {command} | {entry.taken_on} |")
    return "\n".join([_MARKDOWN, *rows, ""])


def html_index(root: Path) -> str:
    """Return the list as a page that opens from a file and loads nothing else."""
    page = template("index.html.j2").render(entries=index_entries(root), style=asset("page.css"))
    return page if page.endswith("\n") else page + "\n"


INDEXES = {"README.md": markdown_index, "index.html": html_index}


def write_indexes(root: Path) -> None:
    """Write every list of ``root`` again."""
    for name, render in INDEXES.items():
        write_atomically(Folder(root), name, render(root))


def stale_indexes(root: Path) -> list[Path]:
    """Return the lists of ``root`` that are missing or do not match its folders."""
    return [
        root / name
        for name, render in INDEXES.items()
        if not _has_content(Folder(root), name, render(root).encode())
    ]


def _has_content(root: Folder, name: str, content: bytes) -> bool:
    try:
        return root.read(name, len(content)) == content
    except OSError:
        return False


def _command(info: RunInfo) -> str:
    """Return the command that started the run, without ``--out``, which is of no use to others."""
    words = list(info.invocations[0].command) if info.invocations else []
    if "--out" in words:
        del words[(at := words.index("--out")) : at + 2]
    return shlex.join(word for word in words if not word.startswith("--out="))


_MARKDOWN = """\
# Published runs

Each folder has `run.json` and `records.jsonl`. All its other files are computed from these two: the
report (`summary.md`, `.csv`, `.tex`, and `index.html`, a page that opens from a file, with its data
in `page-data.json`), the charts, the tables of trials and epochs, and the suite.
`bench verify-published` computes them again and compares. `bench report FOLDER --out ...` and
pandas read a folder like any run. `bench publish` writes this list, and the same list as a page
(`index.html`).

| run | question | command | date |
|---|---|---|---|"""
