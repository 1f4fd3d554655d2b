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
_NOT_AS_WRITTEN = (UnsafeFileError, ValueError, RecursionError, csv.Error)
"""Errors from reading a file that ``publish`` did not write."""
_PAGE_DATA = re.compile(r'<script type="application/json" id="(\w+)">(.*?)</script>', re.DOTALL)
_NOT_COMPARED = re.compile(
    r"<svg\b.*?</svg>|(<(?:style|script)\b[^>]*>).*?</(?:style|script)>"
    r'|<meta http-equiv="Content-Security-Policy"[^>]*>',
    re.DOTALL,
)
"""The parts of a page that depend on a machine's fonts and library versions, and its data."""


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


def page_data(page: str) -> dict[str, Any]:
    """Return the JSON that a page embeds: "data" for its tables, "specs" for its charts."""
    return {name: json.loads(text) for name, text in _PAGE_DATA.findall(page)}


def page_text(page: str) -> str:
    """Return the HTML of a page without drawings and without the content of styles and scripts."""
    return _NOT_COMPARED.sub(r"\1", page)


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
    if suffix == ".html":
        return _page_difference(here, there)
    alike = _same_cells if suffix == ".csv" else str.__eq__
    ours, theirs = here.splitlines(), there.splitlines()
    for number, (a, b) in enumerate(zip(ours, theirs, strict=False), start=1):
        if not alike(a, b):
            return f":{number}: not what the records give"
    return ": lines are missing, or too many" if len(ours) != len(theirs) else None


def _page_difference(here: str, there: str) -> str | None:
    if page_text(here) != page_text(there):
        return ": the text is not what the records give"
    ours, fresh = page_data(here), page_data(there)
    for name, part in (("data", "table"), ("specs", "chart")):
        if not _same_values(ours.get(name), fresh.get(name)):
            return f": a {part} is not what the records give"
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
