"""Whether what was published is what its records give: all of it made anew, and compared.

Usage:
    differences(Path("results/published/quick"))          # () where every file is
"""

import csv
import json
import math
import re
import shutil
import stat
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from bench.errors import RunFolderError
from bench.files.bounded_reading import UnsafeFileError, read_file
from bench.files.folder import Folder
from bench.records.atomic_write import disk_errors, temporary_folder
from bench.records.record_files import MOST_PUBLISHED_BYTES
from bench.records.run_folder import RunFolder
from bench.report.publishing.publish import GIVEN, check, made_from

ROUNDING = 1e-9
"""How far a raw number, of which all digits are kept, may be from what it is elsewhere."""
_PICTURES = frozenset({".svg", ".png"})
"""Their letters are as wide as the fonts of a machine: they are to be there, and are compared as
the page's specifications of the same charts."""

_MOST_TIMES = 4
"""A file that is so much larger than the one made anew is not read."""
_NOT_AS_WRITTEN = (UnsafeFileError, ValueError, RecursionError, AssertionError, csv.Error)
"""What reading meets in a text that no ``publish`` wrote; HTMLParser raises AssertionError."""
_SPECS = re.compile(r'<script type="application/json" id="specs">(.*?)</script>', re.DOTALL)


def differences(folder: Path) -> tuple[str, ...]:
    """Where ``folder`` is not what its records give: the file, and its first line that differs.

    Raises RunFolderError where it is no published run.
    """
    files = _files_of(folder)
    missing = [name for name in GIVEN if folder / name not in files]
    if missing:
        raise RunFolderError(f"{folder}: no {missing[0]}: publish the run again")
    check(RunFolder.open(folder))  # where it is, and not where a copy of it is made
    with temporary_folder() as place:
        # Under the same name, since a report may say it.
        fresh = place / folder.name
        with disk_errors(fresh):
            fresh.mkdir()
        for name in GIVEN:
            _copy(folder, name, fresh)
        made = [path.relative_to(fresh) for path in made_from(fresh)]
        found = [difference(folder / name, fresh / name) for name in made]
    known = {folder / name for name in (*map(Path, GIVEN), *made)}
    others = sorted(path for path in files if path not in known)
    return (
        *(line for line in found if line),
        *(f"{path}: not made from the records" for path in others),
    )


def _copy(folder: Path, name: str, fresh: Path) -> None:
    given = Folder(folder)
    try:
        with (
            given.reader(name, MOST_PUBLISHED_BYTES) as ours,
            disk_errors(fresh / name),
            (fresh / name).open("xb") as copy,
        ):
            shutil.copyfileobj(ours, copy)
    except UnsafeFileError as error:
        raise RunFolderError(f"{folder / name}: {error.strerror}: publish the run again") from None


def _files_of(folder: Path) -> list[Path]:
    """The regular files in ``folder``; RunFolderError where there is anything else but folders."""
    found = []
    for path in folder.rglob("*"):  # follows no link
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode):
            found.append(path)
        elif not stat.S_ISDIR(mode):
            raise RunFolderError(f"{path}: is no regular file: remove it")
    return found


def shown(page: str) -> str:
    """What a page says, a line a piece: all text and all cells, without pictures and programs."""
    reader = _Shown()
    reader.feed(page)
    return "\n".join(reader.pieces)


def charted(page: str) -> Any:
    """The specification of every chart of a page, with its data."""
    found = _SPECS.search(page)
    return json.loads(found[1]) if found else {}


class _Shown(HTMLParser):
    """Text outside of pictures, styles and scripts, and the data that fill the tables."""

    _SILENT = frozenset({"svg", "style", "script"})

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []
        self._inside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self._SILENT and ("id", "data") not in attrs:
            self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._inside and self._inside[-1] == tag:
            self._inside.pop()

    def handle_data(self, data: str) -> None:
        if not self._inside and data.strip():
            self.pieces += data.replace("],", "],\n").splitlines()


def difference(ours: Path, fresh: Path) -> str | None:
    """Where ``ours`` is not as ``fresh``, or nothing."""
    if not ours.is_file():
        return f"{ours}: missing"
    if ours.suffix in _PICTURES:
        return None
    there = fresh.read_text(encoding="utf-8")
    try:
        here = read_file(ours, _MOST_TIMES * len(there.encode())).decode()
        where = _difference(here, there, ours.suffix)
    except _NOT_AS_WRITTEN:
        where = ": not what the records give"
    return where and f"{ours}{where}"


def _difference(here: str, there: str, suffix: str) -> str | None:
    is_page, alike = suffix == ".html", _same_cells if suffix == ".csv" else str.__eq__
    ours, theirs = ((shown(text) if is_page else text).splitlines() for text in (here, there))
    for number, (a, b) in enumerate(zip(ours, theirs, strict=False), start=1):
        if not alike(a, b):
            return f":{number}: not what the records give"
    if len(ours) != len(theirs):
        return ": lines are missing, or too many"
    if is_page and not _same_values(charted(here), charted(there)):
        return ": a chart is not what the records give"
    return None


def _same_values(ours: Any, fresh: Any) -> bool:
    """Equal plain data, but that numbers may differ in their last digits."""
    if isinstance(ours, dict) and isinstance(fresh, dict):
        return ours.keys() == fresh.keys() and all(_same_values(ours[k], fresh[k]) for k in ours)
    if isinstance(ours, list) and isinstance(fresh, list):
        return len(ours) == len(fresh) and all(map(_same_values, ours, fresh))
    if isinstance(ours, float) and isinstance(fresh, int | float):
        return math.isclose(ours, fresh, rel_tol=ROUNDING, abs_tol=ROUNDING)
    return bool(ours == fresh)


def _same_cells(ours: str, fresh: str) -> bool:
    """Equal, but that numbers may differ as they do from one machine's logarithm to another's."""
    if ours == fresh:
        return True
    here, there = next(csv.reader([ours])), next(csv.reader([fresh]))
    return len(here) == len(there) and all(map(_same_cell, here, there))


def _same_cell(ours: str, fresh: str) -> bool:
    try:
        return ours == fresh or math.isclose(float(ours), float(fresh), rel_tol=ROUNDING)
    except ValueError:
        return False
