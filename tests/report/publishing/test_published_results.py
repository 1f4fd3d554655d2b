"""docs/results.md is up to date with the published runs."""

from pathlib import Path

from bench.report.publishing.published_index import published_folders
from docs.generate.published_results import results
from docs.generate.turn_modes import TITLE
from tests.support.paths import ROOT


def test_the_page_is_up_to_date() -> None:
    root = ROOT / "results/published"
    page = results(root, "../results/published")
    assert (ROOT / "docs/results.md").read_text("utf-8") == page, "make results"
    _claim, *sections = [line[3:] for line in page.splitlines() if line.startswith("## ")]
    turns = [TITLE] if published_folders(root / "turns") else []
    assert sections == [*turns, *(folder.name for folder in published_folders(root))]


def test_a_run_has_its_answer_its_table_and_links_to_its_files(folder: Path) -> None:
    _, page = results(folder.parent, "published").split("\n## tiny\n")
    assert "**These times are simulated, not measured." in page
    table = [line for line in page.splitlines() if line.startswith("| ")]
    assert set(table) <= set((folder / "summary.md").read_text("utf-8").splitlines())
    assert len(table) == 2 + 2
    assert "[page](published/tiny/index.html)" in page
