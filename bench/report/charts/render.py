"""Figures as SVG and PNG, by vl-convert, in this process: no browser, no network.

Usage:
    drawings = [draw(figure) for figure in figures]
    paths = write_charts(drawings, Path("report/charts"))
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.records.disk import disk_errors
from bench.records.store import aside
from bench.report.charts.figure import Figure

PNG_SCALE = 2
_WHITE = '<rect width="100%" height="100%" fill="white"/>'
_IDS = re.compile(r'(id="|url\(#)([A-Za-z-]+)(\d+)')


@dataclass(frozen=True)
class Drawing:
    """A figure, drawn."""

    figure: Figure
    svg: str
    """Transparent, in ``currentColor``; equal figures give equal text."""


def draw(figure: Figure) -> Drawing:
    """``figure`` as SVG."""
    import vl_convert

    text = str(vl_convert.vegalite_to_svg(figure.spec, vl_version=vega_lite_version()))
    return Drawing(figure, _with_own_ids(text, figure.name))


def write_charts(drawings: Sequence[Drawing], out: Path) -> list[Path]:
    """Write ``NAME.svg`` and ``NAME.png``, on white; the paths written.

    Raises StorageError where ``out`` cannot be written.
    """
    import vl_convert

    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    paths = []
    for drawing in drawings:
        text = drawing.svg.replace(">", f">{_WHITE}", 1)
        picture = vl_convert.svg_to_png(text, scale=PNG_SCALE)
        for suffix, content in (("svg", text.encode()), ("png", picture)):
            path = out / f"{drawing.figure.name}.{suffix}"
            with aside(path) as temporary:
                temporary.write_bytes(content)
            paths.append(path)
    return paths


def vega_lite_version() -> str:
    """Of the specifications that Altair writes, as vl-convert names it: ``"6.4"``."""
    import altair

    return ".".join(altair.SCHEMA_VERSION.removeprefix("v").split(".")[:2])


def _with_own_ids(text: str, name: str) -> str:
    """Ids counted anew and led by ``name``: vl-convert's count through a whole process."""
    numbers: dict[str, int] = {}

    def own(match: re.Match[str]) -> str:
        before, kind, number = match.groups()
        index = numbers.setdefault(kind + number, len(numbers) + 1)
        return f"{before}{name}-{kind}{index}"

    return _IDS.sub(own, text)
