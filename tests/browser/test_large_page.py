"""The page of a run of ten thousand trials opens, works and stays small."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from bench.files.folder import Folder
from bench.records.run_folder import RunFolder
from bench.records.run_info import RunInfo
from bench.records.trial_record import TrialRecord
from bench.report.charts.render_process import RenderProcess
from bench.report.charts.report_data import read_run
from bench.report.page.write_page import write_page
from bench.spec.expand import expand
from bench.spec.plan import make_plan
from bench.spec.suite import parse_suite
from tests.browser.conftest import Open
from tests.support.sample_pages import LOG
from tests.support.sample_records import make_record

pytestmark = pytest.mark.browser

MOST_BYTES = 20 * 10**6
SUITE = {
    "name": "large",
    "blocks": 10,
    "variant": {"epochs": 10},
    "matrix": {
        "norm": ["none", "bn_post"],
        "learning_rate": [0.001 * (i + 1) for i in range(500)],
    },
    "compare": [{"axis": "norm", "baseline": "none"}],
}


@pytest.fixture(scope="module")
def large_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A thousand variants in ten blocks; every twentieth trial failed with a log."""
    place = tmp_path_factory.mktemp("large")
    suite = parse_suite(SUITE)
    plan = make_plan(suite)
    info = RunInfo(
        suite=suite.model_dump(mode="json"),
        pairs=plan.pairs,
        trial_ids=tuple(trial.trial_id for trial in plan.trials),
        labels={cell.variant.id: cell.label for cell in expand(suite)},
    )
    folder = RunFolder.create(place / "run", info)
    for number, trial in enumerate(plan.trials):
        record = make_record(trial)
        if number % 20 == 0:
            record = _failed(record, number)
        # Written directly, because the run folder would sync each file to disk.
        path = folder.trials / f"{trial.trial_id}.json"
        path.write_text(record.model_dump_json(), encoding="utf-8")
    with RenderProcess() as renderer:
        return write_page([read_run(folder.path, "large")], Folder(place / "out"), renderer)[0]


def _failed(record: TrialRecord, number: int) -> TrialRecord:
    update = {"status": "failed", "error": f"ValueError: {number % 7}", "log_tail": LOG * 50}
    return record.model_copy(update=update)


def test_the_page_stays_small(large_page: Path) -> None:
    assert large_page.stat().st_size < MOST_BYTES


def test_the_page_opens_pages_through_tables_filters_and_shows_a_trial(
    opened: Open, large_page: Path
) -> None:
    page = opened(large_page)
    table = page.locator("[data-grid='trials']")
    expect(table.locator(".count")).to_have_text("10000 rows")
    assert table.locator("tbody tr").count() == 50
    table.get_by_role("button", name="Last").click()
    expect(table.locator(".pager")).to_contain_text("9951 to 10000 of 10000")
    table.get_by_label("Status").select_option("failed")
    expect(table.locator(".count")).to_have_text("500 of 10000 rows")
    table.locator("button.open").first.click()
    expect(page.get_by_role("dialog")).to_contain_text("ValueError: ")
    # The document holds only the visible rows of a table.
    assert page.evaluate("document.querySelectorAll('*').length") < 20_000
