"""Time how long the page of ten thousand trials takes to open in Chromium.

    python -m pytest tests/perf/test_page_perf.py -m perf

It prints figures and judges none. The target is two seconds until its tables can be used.
"""

import statistics
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Open, browser, opened
from tests.browser.test_large_page import large_page

__all__ = ["browser", "large_page", "opened"]
pytestmark = pytest.mark.perf

TIMES = 7
LOAD_TIME_MS = "performance.timing.loadEventEnd - performance.timing.navigationStart"


def test_the_page_of_ten_thousand_trials_opens(
    opened: Open,
    large_page: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    times = []
    for _ in range(TIMES):
        page = opened(large_page)
        expect(page.locator("[data-grid='trials'] .count")).to_have_text("10000 rows")
        times.append(page.evaluate(LOAD_TIME_MS) / 1e3)
    size = large_page.stat().st_size / 1e6
    with capsys.disabled():
        print(
            f"\n{size:.1f} MB open in {statistics.median(times):.2f} s "
            f"({min(times):.2f} to {max(times):.2f})"
        )
