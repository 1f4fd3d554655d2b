"""The page is one complete file that makes no requests and escapes all text."""

import hashlib
import re
from base64 import b64encode
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path

import pytest

from bench.errors import RunFolderError
from bench.files.folder import Folder
from bench.report.charts.render_process import RenderProcess
from bench.report.charts.report_data import read_run
from bench.report.page.write_page import write_page
from tests.support.sample_pages import HARMFUL, LOG, hostile_run, sweep_run
from tests.support.sample_records import NORMS, make_run, no_record


class Elements(HTMLParser):
    """The tags of a page with their attributes, the text of its scripts, and all other text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "script":
            self.scripts[-1] += data
        else:
            self.text += data

    def with_tag(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def write(runs: Mapping[str, Path], out: Path) -> list[Path]:
    with RenderProcess() as renderer:
        return write_page(
            [read_run(path, name) for name, path in runs.items()], Folder(out), renderer
        )


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Elements:
    place = tmp_path_factory.mktemp("page")
    runs = {"hostile": hostile_run(place / "hostile").path, "s": sweep_run(place / "s").path}
    paths = write(runs, place / "out")
    assert paths[0] == place / "out" / "index.html"
    assert {path.parent.parent.name for path in paths[1:]} == {"hostile", "s"}
    return Elements(paths[0].read_text(encoding="utf-8"))


def test_names_logs_and_errors_are_text(hostile: Elements) -> None:
    for text in (*HARMFUL[:3], LOG, "<b>bold</b> {{7*7}}", "ValueError: <script>alert(6)</script>"):
        assert text in hostile.text
    assert {name for name, _ in hostile.tags} & {"img", "b", "iframe", "object"} <= {"b"}
    assert not [a for _, attributes in hostile.tags for a in attributes if a.startswith("on")]


def test_the_page_has_only_its_own_scripts(hostile: Elements) -> None:
    kinds = [attributes.get("type") for attributes in hostile.with_tag("script")]
    assert kinds == ["application/json", None, None]
    metas = {m.get("http-equiv"): m["content"] for m in hostile.with_tag("meta") if "content" in m}
    policy = str(metas["Content-Security-Policy"])
    allowed = set(re.findall(r"'sha256-([^']+)'", policy))
    assert allowed == {
        b64encode(hashlib.sha256(script.encode()).digest()).decode()
        for script in hostile.scripts[1:]
    }


def test_the_page_has_no_external_references(hostile: Elements) -> None:
    for tag, attributes in hostile.tags:
        for name in ("src", "href", "xlink:href", "action", "data", "poster", "srcset"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:")), (tag, value)


def test_every_table_has_a_caption_and_every_chart_a_text(hostile: Elements) -> None:
    assert len(hostile.with_tag("caption")) == len(hostile.with_tag("table"))
    charts = [a for _, a in hostile.tags if "data-chart" in a]
    assert charts
    assert all(a["role"] == "img" and a["aria-label"] for a in charts)


@pytest.mark.slow
def test_cells_have_footnote_marks_before_any_script_has_run(tmp_path: Path) -> None:
    run = sweep_run(tmp_path / "run")
    with RenderProcess() as renderer:
        page = write_page([read_run(run.path)], Folder(tmp_path / "out"), renderer)[0].read_text()
    rows = page.split('id="run1-overview-caption"')[1].split("</tbody>")[0]
    assert re.search(r"<td class=\"number\">3 of 4<sup>1</sup></td>", rows)


def test_the_page_has_sections_and_landmarks(hostile: Elements) -> None:
    ids = {a["id"] for a in hostile.with_tag("section")}
    assert ids == {"answer", "overview", "charts", "failures", "environment", "trials"}
    assert len(hostile.with_tag("main")) == len(hostile.with_tag("h1")) == 1
    all_ids = [a["id"] for _, a in hostile.tags if "id" in a]
    assert len(all_ids) == len(set(all_ids))


def test_runs_that_share_variants_are_compared_side_by_side(tmp_path: Path) -> None:
    runs = {name: make_run(tmp_path / name).path for name in ("monday", "tuesday")}
    page = Elements(write(runs, tmp_path / "out")[0].read_text(encoding="utf-8"))
    assert "sides" in {a.get("id") for a in page.with_tag("section")}
    assert "Epoch time (ms), monday" in page.text
    assert "Epoch time (ms), tuesday" in page.text


def test_the_page_has_the_command_of_the_run(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", NORMS).path
    html = write({"run": run}, tmp_path / "out")[0].read_text(encoding="utf-8")
    assert "<code>bench run norms</code>" in html


def test_a_run_without_records_has_a_page(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", change=no_record).path
    (page,) = write({"run": run}, tmp_path / "out")
    assert "there is nothing to draw" in page.read_text(encoding="utf-8")


@pytest.mark.slow
def test_writing_it_twice_gives_the_same(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run").path
    first = {p: p.read_bytes() for p in write({"run": run}, tmp_path / "out")}
    again = {p: p.read_bytes() for p in write({"run": run}, tmp_path / "out")}
    assert first == again


def test_a_folder_without_a_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="not a run folder"):
        read_run(tmp_path)
