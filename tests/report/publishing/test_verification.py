"""Verification finds every edit of a published folder."""

import json
import re
import shutil
import sys
from pathlib import Path

import pytest

from bench.errors import HelperError, RunFolderError
from bench.report.page.embedding import data_element
from bench.report.publishing.verification import difference, differences, page_text

TABLES = ("suite.toml", "trials.csv", "epochs.csv", "summary.md", "summary.csv", "summary.tex")


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """Return a copy of the published run that a test may edit."""
    return Path(shutil.copytree(folder, tmp_path / folder.name))


def test_an_unchanged_folder_has_no_differences(folder: Path) -> None:
    assert differences(folder) == ()


def test_edited_missing_and_shortened_files_are_reported(copy: Path) -> None:
    expected = []
    for name in TABLES:
        lines = (copy / name).read_text().splitlines()
        (copy / name).write_text("\n".join([*lines[:-1], lines[-1] + "x"]) + "\n")
        expected.append(f"{copy / name}:{len(lines)}: not what the records give")
    rows = (copy / "epochs.csv").read_text().splitlines()
    (copy / "epochs.csv").write_text("\n".join(rows[:-1]))
    expected[2] = f"{copy / 'epochs.csv'}: lines are missing or added"
    picture = next((copy / "charts").glob("*.png"))
    picture.unlink()
    assert differences(copy) == (*expected, f"{picture}: missing")


def test_nothing_is_verified_if_the_render_process_dies(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (copy / "summary.csv").write_text("edited")
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(HelperError, match="exited with code 1") as failure:
        differences(copy)
    assert failure.value.exit_code == 5


@pytest.fixture
def page(folder: Path, tmp_path: Path) -> Path:
    """Return a copy of a published page, beside a copy of its data, that a test may edit."""
    shutil.copy(folder / "page-data.json", tmp_path)
    return Path(shutil.copy(folder / "index.html", tmp_path))


def edit(file: Path, pattern: str, replacement: str) -> None:
    text, count = re.subn(pattern, replacement, file.read_text(), count=1)
    assert count == 1
    file.write_text(text)


def test_the_page_embeds_the_data_beside_it(folder: Path) -> None:
    data = (folder / "page-data.json").read_text()
    assert json.loads(data).keys() == {"grids", "trials", "charts"}
    assert (folder / "index.html").read_text().count(data) == 1


@pytest.mark.parametrize("word", [">completed<", ">The answer<"])
def test_an_edited_word_of_the_page_is_reported(folder: Path, page: Path, word: str) -> None:
    edit(page, word, ">XX<")
    line = f"{page}: the text is not what the records give"
    assert difference(page, folder / "index.html") == line


def test_pictures_and_scripts_of_the_page_are_not_compared(folder: Path, page: Path) -> None:
    edit(page, "<svg", "<svg data-font='other'")
    assert difference(page, folder / "index.html") is None
    assert "vegaEmbed" in page.read_text()
    assert "vegaEmbed" not in page_text(page.read_text())


@pytest.mark.parametrize(
    ("part", "number"),
    [("charts", r'(?<="ratio":)\d+\.\d+'), ("grids", r"(?<=[\[,])\d+\.\d+")],
)
def test_an_edited_number_in_the_data_of_the_page_is_reported(
    folder: Path, page: Path, part: str, number: str
) -> None:
    data = page.with_name("page-data.json")
    before = data.read_text()
    edit(data, number, "9.75")
    page.write_text(page.read_text().replace(before, data.read_text()))
    line = f"{data}: its {part} are not what the records give"
    assert difference(data, folder / data.name) == line
    assert difference(page, folder / page.name) is None


def test_a_page_with_other_data_than_those_beside_it_is_reported(folder: Path, page: Path) -> None:
    edit(page, r'(?<="ratio":)\d+\.\d+', "9.75")
    line = f"{page}: embeds other data than page-data.json"
    assert difference(page, folder / page.name) == line


@pytest.mark.parametrize("data", ["{}", "[]", '{"grids":{},"trials":{},"charts":1}'])
def test_data_of_another_form_are_reported(folder: Path, page: Path, data: str) -> None:
    file = page.with_name("page-data.json")
    file.write_text(data)
    assert difference(file, folder / file.name)
    assert difference(page, folder / page.name) == f"{page}: embeds other data than page-data.json"


def test_missing_data_of_the_page_are_reported(folder: Path, page: Path) -> None:
    data = page.with_name("page-data.json")
    data.unlink()
    assert difference(data, folder / data.name) == f"{data}: missing"
    line = f"{page}: not what the records give"
    assert difference(page, folder / page.name) == line


def test_data_added_to_the_page_are_reported(folder: Path, page: Path) -> None:
    edit(page, "<main", '<script type="application/json" id="page-data">{}</script><main')
    line = f"{page}: the text is not what the records give"
    assert difference(page, folder / page.name) == line


def test_a_second_copy_of_the_data_is_reported(folder: Path, page: Path) -> None:
    element = data_element(page.with_name("page-data.json").read_text())
    page.write_text(page.read_text().replace("<main", f"{element}<main", 1))
    line = f"{page}: embeds other data than page-data.json"
    assert difference(page, folder / page.name) == line


def test_a_file_that_no_record_gives_is_reported(copy: Path) -> None:
    (copy / "charts/better.svg").write_text("<svg/>")
    assert differences(copy) == (f"{copy / 'charts/better.svg'}: not made from the records",)


@pytest.mark.parametrize(("factor", "matches"), [(1 + 1e-13, True), (1 + 1e-6, False)])
def test_a_raw_number_may_differ_only_in_its_last_digits(
    tmp_path: Path, factor: float, matches: bool
) -> None:
    published, fresh = tmp_path / "published.csv", tmp_path / "fresh.csv"
    published.write_text(f"label,epoch_s\n1.5 x,{0.7123 * factor!r}\n")
    fresh.write_text(f"label,epoch_s\n1.5 x,{0.7123!r}\n")
    assert (difference(published, fresh) is None) == matches


def test_a_folder_without_a_published_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"no run\.json: publish the run again"):
        differences(tmp_path)
