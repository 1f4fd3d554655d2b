"""Fixtures: pages that are opened from files in Debian's headless Chromium.

An error in the console or a network request of a page fails the test that opened it.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from bench.files.folder import Folder
from bench.report.charts.render_process import RenderProcess
from bench.report.charts.report_data import read_run
from bench.report.page.write_page import write_page
from tests.support.sample_pages import hostile_run, sweep_run

Open = Callable[..., Page]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser process for all tests."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium: apt-get install chromium")
    with sync_playwright() as driver:
        # Chromium's sandbox refuses to run as root, which containers are.
        chromium_browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield chromium_browser
        chromium_browser.close()


@pytest.fixture
def opened(browser: Browser) -> Iterator[Open]:
    """Open a file in a new window; fail the test at the end if the page had errors."""
    contexts, faults = [], []

    def open_file(path: Path, fragment: str = "", **settings: Any) -> Page:
        context = browser.new_context(**settings)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(f"error: {error}"))
        page.on(
            "console",
            lambda message: faults.append(message.text) if message.type == "error" else None,
        )
        page.on("dialog", lambda dialog: faults.append(f"dialog: {dialog.message}"))
        page.on(
            "request", lambda request: faults.append(request.url) if _is_external(request) else None
        )
        page.goto(f"{path.as_uri()}{fragment}")
        return page

    yield open_file
    for context in contexts:
        context.close()
    assert faults == []


def _is_external(request: Any) -> bool:
    return not request.url.startswith(("file:", "data:"))


@pytest.fixture(scope="session")
def sweep_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run with sizes, a target accuracy and failures."""
    place = tmp_path_factory.mktemp("sweep")
    run = read_run(sweep_run(place / "run").path)
    with RenderProcess() as renderer:
        return write_page([run], Folder(place / "out"), renderer)[0]


@pytest.fixture(scope="session")
def hostile_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of two runs whose names contain scripts."""
    place = tmp_path_factory.mktemp("hostile")
    runs = {"hostile": hostile_run(place / "a").path, "other": hostile_run(place / "b").path}
    reports = [read_run(path, name) for name, path in runs.items()]
    with RenderProcess() as renderer:
        return write_page(reports, Folder(place / "out"), renderer)[0]
