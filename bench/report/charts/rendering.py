"""Figures as SVG and PNG, by vl-convert, in this process: no browser, no network.

Usage:
    drawings = [draw(figure) for figure in figures]
    pictures = [as_png(drawing.svg) for drawing in drawings]
    paths = write_charts(drawings, pictures, Folder(Path("report")) / "charts")
"""

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import vl_convert

from bench.files.folder import Folder
from bench.records.atomic_write import make_folder, staged_file
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


def draw(figure: Figure) -> Drawing:
    """``figure`` as SVG, in this process; ``Drawer`` has one of its own."""
    return Drawing(figure, as_svg(figure.spec, figure.name))


def as_svg(spec: dict[str, Any], name: str) -> str:
    """A Vega-Lite specification as SVG; ``name`` leads all ids in it."""
    return _with_own_ids(str(vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE)), name)


def as_png(svg: str) -> bytes:
    """What ``as_svg`` gives as PNG, on white."""
    return vl_convert.svg_to_png(_on_white(svg), scale=PNG_SCALE)


@functools.cache
def vega_script() -> str:
    """Vega, Vega-Lite and Vega-Embed in one script, as vl-convert carries them."""
    text = str(vl_convert.javascript_bundle(vl_version=VEGA_LITE))  # type: ignore[call-arg]
    if "</script" in text.lower():
        raise AssertionError("the script of Vega would end its element")
    return text


def write_charts(drawings: Sequence[Drawing], pictures: Sequence[bytes], out: Folder) -> list[Path]:
    """Write ``NAME.svg`` and ``NAME.png``, on white, ``pictures`` being the latter; the paths.

    Raises StorageError where ``out`` cannot be written.
    """
    make_folder(out)
    paths = []
    for drawing, picture in zip(drawings, pictures, strict=True):
        for suffix, content in (("svg", _on_white(drawing.svg).encode()), ("png", picture)):
            name = f"{drawing.figure.name}.{suffix}"
            with staged_file(out, name) as file:
                file.write(content)
            paths.append(out.path / name)
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
