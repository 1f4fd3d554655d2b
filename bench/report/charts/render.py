"""Figures as SVG and PNG, by vl-convert, in this process: no browser, no network.

Usage:
    drawings = [draw(figure) for figure in figures]
    paths = write_charts(drawings, Path("report/charts"))
"""

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.records.disk import disk_errors
from bench.records.store import aside
from bench.report.charts.figure import Figure

VEGA_LITE = "6.4"
"""The version of the specifications that Altair writes, as vl-convert names it."""
PNG_SCALE = 2
_WHITE = '<rect width="100%" height="100%" fill="white"/>'
_IDS = re.compile(r'(id="|url\(#)([A-Za-z-]+)(\d+)')


@dataclass(frozen=True)
class Drawing:
    """A figure, drawn."""

    figure: Figure
    svg: str
    """Transparent, in ``currentColor``; equal figures give equal text."""
    png: bytes
    """On white."""


def draw(figure: Figure) -> Drawing:
    """``figure`` as SVG and PNG, in this process; ``Drawer`` has one of its own."""
    return Drawing(figure, *as_pictures(figure.spec, figure.name))


def as_pictures(spec: dict[str, Any], name: str) -> tuple[str, bytes]:
    """A Vega-Lite specification as SVG and PNG; ``name`` leads all ids in the SVG."""
    import vl_convert

    text = str(vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE))
    svg = _with_own_ids(text, name)
    return svg, vl_convert.svg_to_png(_on_white(svg), scale=PNG_SCALE)


@functools.cache
def vega_script() -> str:
    """Vega, Vega-Lite and Vega-Embed in one script, as vl-convert carries them."""
    import vl_convert

    text = str(vl_convert.javascript_bundle(vl_version=VEGA_LITE))  # type: ignore[call-arg]
    if "</script" in text.lower():
        raise AssertionError("the script of Vega would end its element")
    return text


def write_charts(drawings: Sequence[Drawing], out: Path) -> list[Path]:
    """Write ``NAME.svg`` and ``NAME.png``, on white; the paths written.

    Raises StorageError where ``out`` cannot be written.
    """
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    paths = []
    for drawing in drawings:
        for suffix, content in (("svg", _on_white(drawing.svg).encode()), ("png", drawing.png)):
            path = out / f"{drawing.figure.name}.{suffix}"
            with aside(path) as temporary:
                temporary.write_bytes(content)
            paths.append(path)
    return paths


def _on_white(svg: str) -> str:
    return svg.replace(">", f">{_WHITE}", 1)


def _with_own_ids(text: str, name: str) -> str:
    """Ids counted anew and led by ``name``: vl-convert's count through a whole process."""
    numbers: dict[str, int] = {}

    def own(match: re.Match[str]) -> str:
        before, kind, number = match.groups()
        index = numbers.setdefault(kind + number, len(numbers) + 1)
        return f"{before}{name}-{kind}{index}"

    return _IDS.sub(own, text)
