"""Whether what was published is what its records give: all of it made anew, and compared.

Usage:
    differences(Path("results/published/quick"))          # () where every file is
"""

import csv
import math
import shutil
import tempfile
from html.parser import HTMLParser
from pathlib import Path

from bench.errors import RunFolderError
from bench.report.publish import GIVEN, made_from

ROUNDING = 1e-9
"""How far a raw number, of which all digits are kept, may be from what it is elsewhere."""
_PICTURES = frozenset({".svg", ".png"})
"""Their letters are as wide as the fonts of a machine; what they show stands in the page, too."""


def differences(folder: Path) -> tuple[str, ...]:
    """Where ``folder`` is not what its records give: the file, and its first line that differs.

    Raises RunFolderError where it is no published run.
    """
    missing = [name for name in GIVEN if not (folder / name).is_file()]
    if missing:
        raise RunFolderError(f"{folder}: no {missing[0]}: publish the run again")
    with tempfile.TemporaryDirectory() as place:
        # Under the same name, since a report may say it.
        fresh = Path(place) / folder.name
        fresh.mkdir()
        for name in GIVEN:
            shutil.copyfile(folder / name, fresh / name)
        made = [path.relative_to(fresh) for path in made_from(fresh)]
        found = [difference(folder / name, fresh / name) for name in made]
    return tuple(line for line in found if line)


def shown(page: Path) -> str:
    """What a page says, a line a piece: all text and all cells, without pictures and programs."""
    reader = _Shown()
    reader.feed(page.read_text(encoding="utf-8"))
    return "\n".join(reader.pieces)


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
    return None if len(here) == len(there) else f"{ours}: lines are missing, or too many"


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
