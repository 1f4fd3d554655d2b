"""docs/results.md says what the published runs say."""

from pathlib import Path

from bench.report.publishing.published_index import published
from docs.generate.published_results import results
from tests.support.paths import ROOT


def test_the_page_is_what_the_published_records_give() -> None:
    place = ROOT / "results/published"
    made = results(place, "../results/published")
    assert (ROOT / "docs/results.md").read_text("utf-8") == made, "make results"
    assert [line[3:] for line in made.splitlines() if line.startswith("## ")] == [
        folder.name for folder in published(place)
    ]


def test_a_run_has_its_answer_its_table_and_links_to_all_of_it(folder: Path) -> None:
    page = results(folder.parent, "published")
    assert "**These times are simulated, not measured." in page
    table = [line for line in page.splitlines() if line.startswith("| ")]
    assert set(table) <= set((folder / "summary.md").read_text("utf-8").splitlines())
    assert len(table) == 2 + 2
    assert "[its page](published/tiny/index.html)" in page
