"""The lists of published runs name each, say what was run of it, and tell when they are old."""

import os
import shutil
from pathlib import Path

import pytest

from bench.errors import RunFolderError
from bench.records.store import RunFolder
from bench.report.index import (
    html_index,
    markdown_index,
    published,
    stale_indexes,
    write_indexes,
)
from bench.report.publish import publish


def called(run: Path, copy: Path, *words: str, description: str = "") -> Path:
    """A copy of ``run`` that was begun by ``words``."""
    shutil.copytree(run, copy)
    info = RunFolder(copy).info()
    call = info.invocations[0].model_copy(update={"command": words})
    suite = {**info.suite, "description": description}
    RunFolder(copy).write_info(info.model_copy(update={"invocations": (call,), "suite": suite}))
    return copy


def test_every_published_run_is_listed_in_both(run: Path, tmp_path: Path) -> None:
    publish(run, "two", tmp_path)
    publish(run, "one", tmp_path)
    assert [folder.name for folder in published(tmp_path)] == ["one", "two"]
    listing, page = (tmp_path / "README.md").read_text(), (tmp_path / "index.html").read_text()
    assert listing.index("[one](one/summary.md)") < listing.index("[two](two/summary.md)")
    assert page.index('href="one/index.html"') < page.index('href="two/index.html"')


def test_they_say_what_of_the_suite_was_run(run: Path, tmp_path: Path) -> None:
    words = ("bench", "run", "tiny", "--blocks", "2", "--out", "/somewhere", "--set", "norm=none")
    publish(called(run, tmp_path / "run", *words), "tiny", place := tmp_path / "published")
    assert "| `bench run tiny --blocks 2 --set norm=none` |" in markdown_index(place)
    assert "<code>bench run tiny --blocks 2 --set norm=none</code>" in html_index(place)


def test_what_users_wrote_is_shown_as_they_wrote_it(run: Path, tmp_path: Path) -> None:
    bad = called(run, tmp_path / "run", "bench", description="a <script>alert(1)</script> | b")
    publish(bad, "tiny", place := tmp_path / "published")
    assert "<script>" not in html_index(place)
    assert "<script>" not in markdown_index(place)
    assert "a &lt;script&gt;" in html_index(place)


def test_no_command_ends_its_own_code_or_its_row(run: Path, tmp_path: Path) -> None:
    words = ("bench", "run", "tiny", "--set", "a=``<b>x</b>`\n| y")
    # Not as publish would write it: as a stranger's published folder may have it.
    called(publish(run, "tiny", tmp_path), (place := tmp_path / "published") / "tiny", *words)
    (row,) = [line for line in markdown_index(place).splitlines() if "[page]" in line]
    assert "| ``` bench run tiny --set 'a=``<b>x</b>` \\| y' ``` |" in row


def test_a_run_of_any_name_is_linked(run: Path, tmp_path: Path) -> None:
    publish(run, "two (old)*", tmp_path)
    assert "[two (old)\\*](two%20%28old%29%2A/summary.md)" in markdown_index(tmp_path)


def test_lists_of_what_is_not_there_any_more_are_stale(run: Path, tmp_path: Path) -> None:
    publish(run, "one", tmp_path)
    publish(run, "two", tmp_path)
    assert stale_indexes(tmp_path) == []
    shutil.rmtree(tmp_path / "two")
    assert stale_indexes(tmp_path) == [tmp_path / "README.md", tmp_path / "index.html"]
    write_indexes(tmp_path)
    assert stale_indexes(tmp_path) == []
    (tmp_path / "index.html").unlink()
    assert stale_indexes(tmp_path) == [tmp_path / "index.html"]


def test_a_run_beside_which_another_is_damaged_is_not_published(run: Path, tmp_path: Path) -> None:
    (tmp_path / "damaged").mkdir()
    os.mkfifo(tmp_path / "damaged" / "run.json")
    with pytest.raises(RunFolderError, match=r"damaged/run\.json: is not a regular file"):
        publish(run, "tiny", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["damaged"]


def test_a_damaged_run_is_replaced_by_a_whole_one(run: Path, tmp_path: Path) -> None:
    (publish(run, "tiny", tmp_path) / "run.json").write_text("")
    publish(run, "tiny", tmp_path, replace=True)
    assert stale_indexes(tmp_path) == []


def test_the_page_of_nothing_says_so(tmp_path: Path) -> None:
    assert "No run is published here yet" in html_index(tmp_path)
