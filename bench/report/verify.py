"""Whether what was published is what its records give: all of it made anew, and compared.

Usage:
    differences(Path("results/published/quick"))          # () where every file is
"""

import csv
import json
import math
import re
import shutil
import tempfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from bench.errors import RunFolderError
from bench.records.store import RunFolder
from bench.report.publish import GIVEN, check, made_from

ROUNDING = 1e-9
"""How far a raw number, of which all digits are kept, may be from what it is elsewhere."""
_PICTURES = frozenset({".svg", ".png"})
"""Their letters are as wide as the fonts of a machine: they are to be there, and are compared as
the page's specifications of the same charts."""

_SPECS = re.compile(r'<script type="application/json" id="specs">(.*?)</script>', re.DOTALL)


def differences(folder: Path) -> tuple[str, ...]:
    """Where ``folder`` is not what its records give: the file, and its first line that differs.

    Raises RunFolderError where it is no published run.
    """
    missing = [name for name in GIVEN if not (folder / name).is_file()]
    if missing:
        raise RunFolderError(f"{folder}: no {missing[0]}: publish the run again")
    check(RunFolder.open(folder))  # where it is, and not where a copy of it is made
    with tempfile.TemporaryDirectory() as place:
        # Under the same name, since a report may say it.
        fresh = Path(place) / folder.name
        fresh.mkdir()
        for name in GIVEN:
            shutil.copyfile(folder / name, fresh / name)
        made = [path.relative_to(fresh) for path in made_from(fresh)]
        found = [difference(folder / name, fresh / name) for name in made]
    known = {folder / name for name in (*map(Path, GIVEN), *made)}
    others = sorted(path for path in folder.rglob("*") if path.is_file() and path not in known)
    return (
        *(line for line in found if line),
        *(f"{path}: not made from the records" for path in others),
    )


def shown(page: Path) -> str:
    """What a page says, a line a piece: all text and all cells, without pictures and programs."""
    reader = _Shown()
    reader.feed(page.read_text(encoding="utf-8"))
    return "\n".join(reader.pieces)


def charted(page: Path) -> Any:
    """The specification of every chart of a page, with its data."""
    found = _SPECS.search(page.read_text(encoding="utf-8"))
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
    of_file = shown if ours.suffix == ".html" else Path.read_text
    here, there = of_file(ours).splitlines(), of_file(fresh).splitlines()
    alike = _same_cells if ours.suffix == ".csv" else str.__eq__
    for number, (a, b) in enumerate(zip(here, there, strict=False), start=1):
        if not alike(a, b):
            return f"{ours}:{number}: not what the records give"
    if len(here) != len(there):
        return f"{ours}: lines are missing, or too many"
    if ours.suffix == ".html" and not _same_values(charted(ours), charted(fresh)):
        return f"{ours}: a chart is not what the records give"
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
