"""Charts are written as files that hold only text and shapes."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import altair
import pytest

from bench.errors import StorageError
from bench.files.folder import Folder
from bench.report.charts.all_figures import figures
from bench.report.charts.rendering import VEGA_LITE, Drawing, as_png, write_charts
from tests.support.sample_pages import HARMFUL, draw, hostile_run, read


@pytest.fixture(scope="module")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> list[Drawing]:
    run = read(hostile_run(tmp_path_factory.mktemp("render") / "hostile"))
    return [draw(figure) for figure in figures(run)]


def test_each_chart_is_written_as_svg_and_png(drawings: list[Drawing], tmp_path: Path) -> None:
    paths = write_charts(drawings, [as_png(d.svg) for d in drawings], Folder(tmp_path) / "charts")
    assert len(paths) == 2 * len(drawings)
    for path in paths:
        start = path.read_bytes()[:8]
        assert start.startswith(b"<svg" if path.suffix == ".svg" else b"\x89PNG")


def test_equal_figures_give_equal_text(drawings: list[Drawing]) -> None:
    for drawing in drawings:
        assert draw(drawing.figure) == drawing


def test_labels_become_text_and_never_elements(drawings: list[Drawing]) -> None:
    shown = ""
    for drawing in drawings:
        tree = ElementTree.fromstring(drawing.svg)
        names = {element.tag.rpartition("}")[2] for element in tree.iter()}
        assert not names & {"script", "img", "a", "foreignObject", "image"}
        shown += "".join(tree.itertext())
    assert HARMFUL[1] in shown


def test_a_drawing_has_no_external_references(drawings: list[Drawing]) -> None:
    for drawing in drawings:
        for element in ElementTree.fromstring(drawing.svg).iter():
            for name, value in element.attrib.items():
                assert not name.endswith(("href", "src"))
                assert "url(" not in value or "url(#" in value


def test_ids_of_two_charts_in_one_page_differ(drawings: list[Drawing]) -> None:
    ids = [
        element.attrib["id"]
        for drawing in drawings
        for element in ElementTree.fromstring(drawing.svg).iter()
        if "id" in element.attrib
    ]
    assert len(ids) == len(set(ids))


def test_a_folder_that_cannot_be_written_is_an_error(
    drawings: list[Drawing], tmp_path: Path
) -> None:
    (tmp_path / "charts").touch()
    with pytest.raises(StorageError, match="charts: "):
        write_charts(drawings, [as_png(d.svg) for d in drawings], Folder(tmp_path) / "charts")


def test_the_version_matches_the_specifications_of_altair() -> None:
    assert altair.SCHEMA_VERSION.startswith(f"v{VEGA_LITE}.")
