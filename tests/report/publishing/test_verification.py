"""An edited cell of what was published is found, wherever it stands."""

import re
import shutil
import sys
from pathlib import Path

import pytest

from bench.errors import HelperError, RunFolderError
from bench.report.publishing.verification import difference, differences, page_text

TABLES = ("suite.toml", "trials.csv", "epochs.csv", "summary.md", "summary.csv", "summary.tex")


@pytest.fixture
def own(folder: Path, tmp_path: Path) -> Path:
    """A published run that may be edited."""
    return Path(shutil.copytree(folder, tmp_path / folder.name))


def test_what_nobody_touched_is_as_its_records_give_it(folder: Path) -> None:
    assert differences(folder) == ()


def test_edited_missing_and_shortened_files_are_found(own: Path) -> None:
    expected = []
    for name in TABLES:
        lines = (own / name).read_text().splitlines()
        (own / name).write_text("\n".join([*lines[:-1], lines[-1] + "x"]) + "\n")
        expected.append(f"{own / name}:{len(lines)}: not what the records give")
    rows = (own / "epochs.csv").read_text().splitlines()
    (own / "epochs.csv").write_text("\n".join(rows[:-1]))
    expected[2] = f"{own / 'epochs.csv'}: lines are missing, or too many"
    picture = next((own / "charts").glob("*.png"))
    picture.unlink()
    assert differences(own) == (*expected, f"{picture}: missing")


def test_nothing_counts_as_verified_where_the_drawing_process_dies(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (own / "summary.csv").write_text("edited")
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(HelperError, match="ended with code 1") as died:
        differences(own)
    assert died.value.exit_code == 5


@pytest.mark.parametrize("sought", ["completed", ">The answer<", '"epoch_s"'])
def test_an_edited_word_of_the_page_is_found(folder: Path, tmp_path: Path, sought: str) -> None:
    page = folder / "index.html"
    edited = tmp_path / "index.html"
    assert sought in page.read_text()
    edited.write_text(page.read_text().replace(sought, sought.replace(sought[1:3], "XX")))
    found = difference(edited, page)
    assert found is not None
    assert found.startswith(f"{edited}:")


def test_pictures_and_programs_of_the_page_are_not_compared(folder: Path, tmp_path: Path) -> None:
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
def test_an_edited_number_in_the_data_of_the_page_is_found(
    folder: Path, tmp_path: Path, name: str, number: str, part: str
) -> None:
    page, edited = folder / "index.html", tmp_path / "index.html"
    before, data = page.read_text().split(f'id="{name}">')
    match = re.search(number, data)
    assert match
    start, end = match.span(1)
    edited.write_text(f'{before}id="{name}">{data[:start]}9.75{data[end:]}')
    assert difference(edited, page) == f"{edited}: a {part} is not what the records give"


def test_data_that_are_added_to_the_page_are_found(folder: Path, tmp_path: Path) -> None:
    page, edited = folder / "index.html", tmp_path / "index.html"
    fake = '<script type="application/json" id="data">{}</script>'
    edited.write_text(page.read_text().replace("<main", f"{fake}<main", 1))
    assert difference(edited, page) == f"{edited}: the text is not what the records give"


def test_a_file_that_no_record_gives_is_found(own: Path) -> None:
    (own / "charts/better.svg").write_text("<svg/>")
    assert differences(own) == (f"{own / 'charts/better.svg'}: not made from the records",)


@pytest.mark.parametrize(("factor", "same"), [(1 + 1e-13, True), (1 + 1e-6, False)])
def test_a_raw_number_may_differ_in_its_last_digits_alone(
    tmp_path: Path, factor: float, same: bool
) -> None:
    ours, fresh = tmp_path / "ours.csv", tmp_path / "fresh.csv"
    ours.write_text(f"label,epoch_s\n1.5 x,{0.7123 * factor!r}\n")
    fresh.write_text(f"label,epoch_s\n1.5 x,{0.7123!r}\n")
    assert (difference(ours, fresh) is None) == same


def test_what_is_no_published_run_is_said(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"no run\.json: publish the run again"):
        differences(tmp_path)
