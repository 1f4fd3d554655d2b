"""The lists of published runs name each run and its command, and can be checked."""

import os
import shutil
from pathlib import Path

import pytest

from bench.errors import RunFolderError
from bench.records.run_folder import RunFolder
from bench.report.publishing.publish import publish
from bench.report.publishing.published_index import (
    html_index,
    markdown_index,
    published_folders,
    stale_indexes,
    write_indexes,
)


def copy_with_command(run: Path, copy: Path, *words: str, description: str = "") -> Path:
    """Copy ``run`` as if the command ``words`` had started it."""
    shutil.copytree(run, copy)
    info = RunFolder(copy).info()
    call = info.invocations[0].model_copy(update={"command": words})
    suite = {**info.suite, "description": description}
    RunFolder(copy).write_info(info.model_copy(update={"invocations": (call,), "suite": suite}))
    return copy


@pytest.mark.slow
def test_both_lists_name_every_published_run(run: Path, tmp_path: Path) -> None:
    publish(run, "two", tmp_path)
    publish(run, "one", tmp_path)
    assert [folder.name for folder in published_folders(tmp_path)] == ["one", "two"]
    listing, page = (tmp_path / "README.md").read_text(), (tmp_path / "index.html").read_text()
    assert listing.index("[one](one/summary.md)") < listing.index("[two](two/summary.md)")
    assert page.index('href="one/index.html"') < page.index('href="two/index.html"')


def test_both_lists_show_the_command_without_the_folder(run: Path, tmp_path: Path) -> None:
    words = ("bench", "run", "tiny", "--blocks", "2", "--out", "/somewhere", "--set", "norm=none")
    publish(
        copy_with_command(run, tmp_path / "run", *words), "tiny", root := tmp_path / "published"
    )
    assert "| `bench run tiny --blocks 2 --set norm=none` |" in markdown_index(root)
    assert "<code>bench run tiny --blocks 2 --set norm=none</code>" in html_index(root)


def test_a_run_that_no_command_started_has_no_code_span(run: Path, tmp_path: Path) -> None:
    publish(copy_with_command(run, tmp_path / "run"), "tiny", root := tmp_path / "published")
    assert " | – | " in markdown_index(root)


def test_free_text_is_escaped(run: Path, tmp_path: Path) -> None:
    hostile = copy_with_command(
        run, tmp_path / "run", "bench", description="a <script>alert(1)</script> | b"
    )
    publish(hostile, "tiny", root := tmp_path / "published")
    assert "<script>" not in html_index(root)
    assert "<script>" not in markdown_index(root)
    assert "a &lt;script&gt;" in html_index(root)


def test_no_command_ends_its_code_span_or_its_row(run: Path, tmp_path: Path) -> None:
    words = ("bench", "run", "tiny", "--set", "a=``<b>x</b>`\n| y")
    # publish would not write this, but a published folder from elsewhere may have it.
    copy_with_command(
        publish(run, "tiny", tmp_path), (root := tmp_path / "published") / "tiny", *words
    )
    (row,) = [line for line in markdown_index(root).splitlines() if "[page]" in line]
    assert "| ``` bench run tiny --set 'a=``<b>x</b>` \\| y' ``` |" in row


def test_a_name_with_special_characters_is_linked(run: Path, tmp_path: Path) -> None:
    publish(run, "two (old)*", tmp_path)
    assert "[two (old)\\*](two%20%28old%29%2A/summary.md)" in markdown_index(tmp_path)


@pytest.mark.slow
def test_lists_are_stale_after_a_run_was_removed(run: Path, tmp_path: Path) -> None:
    publish(run, "one", tmp_path)
    publish(run, "two", tmp_path)
    assert stale_indexes(tmp_path) == []
    shutil.rmtree(tmp_path / "two")
    assert stale_indexes(tmp_path) == [tmp_path / "README.md", tmp_path / "index.html"]
    write_indexes(tmp_path)
    assert stale_indexes(tmp_path) == []
    (tmp_path / "index.html").unlink()
    assert stale_indexes(tmp_path) == [tmp_path / "index.html"]


def test_a_damaged_folder_prevents_publishing_another(run: Path, tmp_path: Path) -> None:
    (tmp_path / "damaged").mkdir()
    os.mkfifo(tmp_path / "damaged" / "run.json")
    with pytest.raises(RunFolderError, match=r"damaged/run\.json: is not a regular file"):
        publish(run, "tiny", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["damaged"]


def test_a_damaged_folder_can_be_replaced(run: Path, tmp_path: Path) -> None:
    (publish(run, "tiny", tmp_path) / "run.json").write_text("")
    publish(run, "tiny", tmp_path, replace=True)
    assert stale_indexes(tmp_path) == []


def test_the_page_without_runs_says_so(tmp_path: Path) -> None:
    assert "No run is published here yet" in html_index(tmp_path)
