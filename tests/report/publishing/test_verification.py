"""Verification finds every edit of a published folder."""

import re
import shutil
import sys
from pathlib import Path

import pytest

from bench.errors import HelperError, RunFolderError
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


@pytest.mark.parametrize("word", ["completed", ">The answer<", '"epoch_s"'])
def test_an_edited_word_of_the_page_is_reported(folder: Path, tmp_path: Path, word: str) -> None:
    page = folder / "index.html"
    edited = tmp_path / "index.html"
    assert word in page.read_text()
    edited.write_text(page.read_text().replace(word, word.replace(word[1:3], "XX")))
    line = difference(edited, page)
    assert line is not None
    assert line.startswith(f"{edited}:")


def test_pictures_and_scripts_of_the_page_are_not_compared(folder: Path, tmp_path: Path) -> None:
    page = folder / "index.html"
    other = tmp_path / "index.html"
    other.write_text(page.read_text().replace("<svg", "<svg data-font='other'"))
    assert other.read_text() != page.read_text()
    assert difference(other, page) is None
    assert "vegaEmbed" in page.read_text()
    assert "vegaEmbed" not in page_text(page.read_text())


@pytest.mark.parametrize(
    ("name", "number", "part"),
    [("specs", r'"ratio": ?(\d+\.\d+)', "chart"), ("data", r"\b(\d+\.\d+)\b", "table")],
)
def test_an_edited_number_in_the_data_of_the_page_is_reported(
    folder: Path, tmp_path: Path, name: str, number: str, part: str
) -> None:
    page, edited = folder / "index.html", tmp_path / "index.html"
    before, data = page.read_text().split(f'id="{name}">')
    match = re.search(number, data)
    assert match
    start, end = match.span(1)
    edited.write_text(f'{before}id="{name}">{data[:start]}9.75{data[end:]}')
    assert difference(edited, page) == f"{edited}: a {part} is not what the records give"


def test_data_added_to_the_page_are_reported(folder: Path, tmp_path: Path) -> None:
    page, edited = folder / "index.html", tmp_path / "index.html"
    fake = '<script type="application/json" id="data">{}</script>'
    edited.write_text(page.read_text().replace("<main", f"{fake}<main", 1))
    assert difference(edited, page) == f"{edited}: the text is not what the records give"


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
