"""Verify a published folder: write everything again from its records, and compare.

Usage:
    differences(Path("results/published/quick"))          # () if every file matches
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
from bench.records.read_records import MAX_PUBLISHED_BYTES
from bench.records.run_folder import RunFolder
from bench.report.page.embedding import data_element
from bench.report.page.write_page import PAGE_DATA
from bench.report.publishing.publish import SOURCE_FILES, check_run, write_derived_files

ROUNDING = 1e-9
"""How far an unrounded number may differ between machines, relative to its size."""
_PICTURES = frozenset({".svg", ".png"})
"""Only their presence is checked, because letter widths depend on the fonts of the machine.

The data of the page have the specifications of the same charts, and those are compared.
"""
_MAX_SIZE_RATIO = 4
"""A file that is larger than the new one by more than this factor is not read."""
_PARSE_ERRORS = (UnsafeFileError, FileNotFoundError, ValueError, RecursionError, csv.Error)
"""Errors from reading a file that ``publish`` did not write."""
_NOT_COMPARED = re.compile(
    r"<svg\b.*?</svg>|(<(?:style|script)\b[^>]*>).*?</(?:style|script)>"
    r'|<meta http-equiv="Content-Security-Policy"[^>]*>',
    re.DOTALL,
)
"""The parts of a page that depend on a machine's fonts and library versions."""


def differences(folder: Path) -> tuple[str, ...]:
    """Return the files of ``folder`` that its records do not give, each with the first line.

    Raises RunFolderError if ``folder`` is not a published run.
    """
    files = _regular_files(folder)
    missing = [name for name in SOURCE_FILES if folder / name not in files]
    if missing:
        raise RunFolderError(f"{folder}: no {missing[0]}: publish the run again")
    check_run(RunFolder.open(folder))  # before copying, so that errors name this folder
    with temporary_folder() as temporary:
        # Under the same name, because a report may contain it.
        fresh = temporary / folder.name
        with disk_errors(fresh):
            fresh.mkdir()
        for name in SOURCE_FILES:
            _copy(folder, name, fresh)
        derived = [path.relative_to(fresh) for path in write_derived_files(fresh)]
        lines = [difference(folder / name, fresh / name) for name in derived]
    known = {folder / name for name in (*map(Path, SOURCE_FILES), *derived)}
    unknown = sorted(path for path in files if path not in known)
    return (
        *(line for line in lines if line),
        *(f"{path}: not made from the records" for path in unknown),
    )


def difference(published: Path, fresh: Path) -> str | None:
    """Return where the file ``published`` differs from ``fresh``, or None if they match."""
    if not published.is_file():
        return f"{published}: missing"
    if published.suffix in _PICTURES:
        return None
    try:
        actual, expected = _texts(published, fresh)
        if published.suffix == ".html":
            data = _texts(published.with_name(PAGE_DATA), fresh.with_name(PAGE_DATA))
            where = _page_difference(actual, expected, *data)
        elif published.suffix == ".json":
            where = _data_difference(json.loads(actual), json.loads(expected))
        else:
            where = _line_difference(actual, expected, published.suffix)
    except _PARSE_ERRORS:
        where = ": not what the records give"
    return where and f"{published}{where}"


def _texts(published: Path, fresh: Path) -> tuple[str, str]:
    """Return the content of both files; UnsafeFileError if the published one is far too large."""
    expected = fresh.read_text(encoding="utf-8")
    return read_file(published, _MAX_SIZE_RATIO * len(expected.encode())).decode(), expected


def page_text(page: str) -> str:
    """Return the HTML of a page without drawings and without the content of styles and scripts."""
    return _NOT_COMPARED.sub(r"\1", page)


def _copy(folder: Path, name: str, fresh: Path) -> None:
    try:
        with (
            Folder(folder).reader(name, MAX_PUBLISHED_BYTES) as source,
            disk_errors(fresh / name),
            (fresh / name).open("xb") as copy,
        ):
            shutil.copyfileobj(source, copy)
    except UnsafeFileError as error:
        raise RunFolderError(f"{folder / name}: {error.strerror}: publish the run again") from None


def _regular_files(folder: Path) -> list[Path]:
    """Return the files below ``folder``; RunFolderError if it has links, devices or sockets."""
    files = []
    for path in folder.rglob("*"):  # follows no link
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode):
            files.append(path)
        elif not stat.S_ISDIR(mode):
            raise RunFolderError(f"{path}: is not a regular file: remove it")
    return files


def _line_difference(actual: str, expected: str, suffix: str) -> str | None:
    matches = _cells_match if suffix == ".csv" else str.__eq__
    actual_lines, expected_lines = actual.splitlines(), expected.splitlines()
    for number, (a, b) in enumerate(zip(actual_lines, expected_lines, strict=False), start=1):
        if not matches(a, b):
            return f":{number}: not what the records give"
    return ": lines are missing or added" if len(actual_lines) != len(expected_lines) else None


def _page_difference(
    actual: str, expected: str, actual_data: str, expected_data: str
) -> str | None:
    """Compare pages: each embeds the data beside it, between texts that do not differ."""
    parts = actual.split(data_element(actual_data))
    expected_parts = expected.split(data_element(expected_data))
    if len(parts) != len(expected_parts):
        return f": embeds other data than {PAGE_DATA}"
    if list(map(page_text, parts)) != list(map(page_text, expected_parts)):
        return ": the text is not what the records give"
    return None


def _data_difference(actual: Any, expected: Any) -> str | None:
    if not isinstance(actual, dict) or actual.keys() != expected.keys():
        return ": not what the records give"
    differing = [name for name in expected if not _values_match(actual[name], expected[name])]
    return f": its {differing[0]} are not what the records give" if differing else None


def _values_match(actual: Any, expected: Any) -> bool:
    """Return whether JSON values are equal, up to ``ROUNDING`` of their numbers."""
    if isinstance(actual, dict) and isinstance(expected, dict):
        same_keys = actual.keys() == expected.keys()
        return same_keys and all(_values_match(actual[k], expected[k]) for k in actual)
    if isinstance(actual, list) and isinstance(expected, list):
        return len(actual) == len(expected) and all(map(_values_match, actual, expected))
    if isinstance(actual, float) and isinstance(expected, int | float):
        return math.isclose(actual, expected, rel_tol=ROUNDING, abs_tol=ROUNDING)
    return bool(actual == expected)


def _cells_match(actual: str, expected: str) -> bool:
    """Return whether CSV lines are equal, up to ``ROUNDING`` of their numbers.

    The last digits of a logarithm differ between machines.
    """
    if actual == expected:
        return True
    actual_cells, expected_cells = next(csv.reader([actual])), next(csv.reader([expected]))
    return len(actual_cells) == len(expected_cells) and all(
        map(_cell_matches, actual_cells, expected_cells)
    )


def _cell_matches(actual: str, expected: str) -> bool:
    try:
        return actual == expected or math.isclose(float(actual), float(expected), rel_tol=ROUNDING)
    except ValueError:
        return False
