"""Write measurements to a CSV file while they are made.

Usage:
    write_rows(Path("starts.csv"), StartRow, measure_starts(trial, rounds=10))
"""

import csv
from collections.abc import Iterable
from dataclasses import asdict, fields
from pathlib import Path
from typing import TypeVar

from docs.generate.turn_measurements import EpochRow, StartRow

Row = TypeVar("Row", EpochRow, StartRow)


def write_rows(file: Path, kind: type[Row], rows: Iterable[Row]) -> None:
    """Write each row to ``file`` as soon as it is measured, below a line of names."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.DictWriter(opened, [field.name for field in fields(kind)])
        writer.writeheader()
        for row in rows:
            writer.writerow(asdict(row))
            opened.flush()
