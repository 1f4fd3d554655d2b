"""Draw figures as SVG and PNG with vl-convert, without a browser or a network.

Usage:
    drawings = [Drawing(figure, as_svg(figure.spec, figure.name)) for figure in figures]
    pngs = [as_png(drawing.svg) for drawing in drawings]
    paths = write_charts(drawings, pngs, Folder(Path("report")) / "charts")
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
"""The version of Altair's specifications, in vl-convert's notation."""
PNG_SCALE = 2
_WHITE = '<rect width="100%" height="100%" fill="white"/>'
_IDS = re.compile(r'(id="|url\(#)([A-Za-z-]+)(\d+)')


@dataclass(frozen=True)
class Drawing:
    """A figure and its SVG."""

    figure: Figure
    svg: str
    """Transparent, with ``currentColor``; equal figures give equal text."""


def as_svg(spec: dict[str, Any], name: str) -> str:
    """Draw a Vega-Lite specification as SVG; all ids in it start with ``name``."""
    return _with_unique_ids(str(vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE)), name)


def as_png(svg: str) -> bytes:
    """Convert the SVG of ``as_svg`` to PNG, on white."""
    return vl_convert.svg_to_png(_on_white(svg), scale=PNG_SCALE)


@functools.cache
def vega_script() -> str:
    """Return vl-convert's script of Vega, Vega-Lite and Vega-Embed."""
    text = str(vl_convert.javascript_bundle(vl_version=VEGA_LITE))  # type: ignore[call-arg]
    if "</script" in text.lower():
        raise AssertionError("Vega's script contains </script, which would end its element")
    return text


def write_charts(drawings: Sequence[Drawing], pngs: Sequence[bytes], out: Folder) -> list[Path]:
    """Write ``NAME.svg`` and ``NAME.png`` of each drawing, on white; return the paths.

    Raises StorageError if ``out`` cannot be written.
    """
    make_folder(out)
    paths = []
    for drawing, png in zip(drawings, pngs, strict=True):
        for suffix, content in (("svg", _on_white(drawing.svg).encode()), ("png", png)):
            name = f"{drawing.figure.name}.{suffix}"
            with staged_file(out, name) as file:
                file.write(content)
            paths.append(out.path / name)
    return paths


def _on_white(svg: str) -> str:
    return svg.replace(">", f">{_WHITE}", 1)


def _with_unique_ids(text: str, name: str) -> str:
    """Renumber ids and prefix them with ``name``: vl-convert numbers them through a process."""
    numbers: dict[str, int] = {}

    def rename(match: re.Match[str]) -> str:
        prefix, kind, number = match.groups()
        index = numbers.setdefault(kind + number, len(numbers) + 1)
        return f"{prefix}{name}-{kind}{index}"

    return _IDS.sub(rename, text)
