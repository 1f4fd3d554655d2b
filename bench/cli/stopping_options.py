"""The options that end a run: how narrow its intervals must be, and how long it may take.

Usage:
    parse_precision("2%")     # 0.02
    parse_time("20m")         # 1200.0 seconds
"""

import re
from typing import Annotated

import typer

_NUMBER = r"(\d+(?:\.\d+)?|\.\d+)"
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def parse_precision(text: str) -> float:
    """Return the half width of an interval as a share of 1: a parser for Typer."""
    match = re.fullmatch(rf"{_NUMBER}\s*(%?)", text.strip(), re.ASCII)
    precision = float(match[1]) / (100 if match[2] else 1) if match else 0.0
    if not 0 < precision < 1:
        raise typer.BadParameter(f"{text!r} is not above 0 and below 100 %: write 2% or 0.02")
    return precision


def parse_time(text: str) -> float:
    """Return a time in seconds: a parser for Typer."""
    match = re.fullmatch(rf"{_NUMBER}\s*([smh])", text.strip(), re.ASCII)
    seconds = float(match[1]) * _SECONDS[match[2]] if match else 0.0
    if not 0 < seconds < float("inf"):
        raise typer.BadParameter(f"{text!r} is not a time above 0: write 90s, 20m or 1.5h")
    return seconds


UntilOption = Annotated[
    float | None,
    typer.Option(
        "--until",
        metavar="PERCENT",
        help="Add blocks until every ratio is this precise: 2%, or 0.02.",
        parser=parse_precision,
    ),
]
MaxTime = Annotated[
    float | None,
    typer.Option(
        "--max-time",
        metavar="TIME",
        help="With a precision: start no block that would end later: 90s, 20m, 1.5h.",
        parser=parse_time,
    ),
]
