"""In a browser, the page works by mouse and keyboard, offline and accessibly."""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, ViewportSize, expect

from tests.browser.conftest import Open
from tests.support.sample_pages import HARMFUL

pytestmark = pytest.mark.browser

DESKTOP: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 360, "height": 740}


def grid(page: Page, name: str) -> Locator:
    return page.locator(f"[data-grid='{name}']")


def column(table: Locator, index: int) -> list[str]:
    texts: list[str] = table.locator("tbody tr").evaluate_all(
        "(rows, index) => rows.map((row) => row.children[index].innerText.trim())", index
    )
    return texts


def epoch_times(table: Locator) -> list[float]:
    return [float(text.split(" ")[0]) for text in column(table, 2)]


def draw_all_charts(page: Page) -> None:
    """Scroll to every chart, so that each is drawn."""
    for place in page.locator("main [data-chart]").all():
        place.scroll_into_view_if_needed()
        expect(place.locator(".vega-embed, .marks").first).to_be_visible()


def serious_violations(page: Page) -> list[str]:
    violations = Axe().run(page).response["violations"]
    return [
        f"{violation['id']}: {violation['nodes'][0]['html'][:120]}"
        for violation in violations
        if violation["impact"] in ("serious", "critical")
    ]


def test_a_click_on_a_header_sorts_in_both_directions(opened: Open, sweep_page: Path) -> None:
    table = grid(opened(sweep_page), "run1-overview")
    header = table.locator("thead th").nth(2)
    before = epoch_times(table)
    assert before != sorted(before)
    header.get_by_role("button").click()
    expect(header).to_have_attribute("aria-sort", "ascending")
    assert epoch_times(table) == sorted(before)
    header.get_by_role("button").click()
    expect(header).to_have_attribute("aria-sort", "descending")
    assert epoch_times(table) == sorted(before, reverse=True)
    table.locator("thead th").first.get_by_role("button").click()
    expect(header).to_have_attribute("aria-sort", "none")


def test_a_header_sorts_by_keyboard(opened: Open, sweep_page: Path) -> None:
    page = opened(sweep_page)
    table = grid(page, "run1-overview")
    table.locator("input[type=search]").focus()
    for _ in range(4):  # the scrolling region, then the headers
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.innerText").startswith("Epoch time")
    page.keyboard.press("Enter")
    assert epoch_times(table) == sorted(epoch_times(table))
    page.keyboard.press("Space")
    assert epoch_times(table) == sorted(epoch_times(table), reverse=True)


def test_unknown_values_are_last_in_both_directions(opened: Open, sweep_page: Path) -> None:
    table = grid(opened(sweep_page), "trials")
    titles = table.locator("thead th").all_inner_texts()
    index = next(i for i, title in enumerate(titles) if title.startswith("Epoch time"))
    for _ in range(2):
        table.locator("thead th").nth(index).get_by_role("button").click()
        assert column(table, index)[-1] == "–"
        assert column(table, index)[0] != "–"


def test_a_filter_shows_rows_with_all_its_words(opened: Open, sweep_page: Path) -> None:
    page = opened(sweep_page)
    table = grid(page, "run1-overview")
    table.get_by_label("Filter").focus()
    page.keyboard.type("bn_post size=32")
    expect(table.locator(".count")).to_have_text("2 of 12 rows")
    assert all("bn_post" in text and "=32," in text for text in column(table, 0))
    page.keyboard.type(" nowhere")
    expect(table.locator(".count")).to_have_text("0 of 12 rows")


def test_a_menu_shows_one_status(opened: Open, sweep_page: Path) -> None:
    table = grid(opened(sweep_page), "trials")
    table.get_by_label("Status").select_option("failed")
    expect(table.locator(".count")).to_have_text("1 of 48 rows")
    table.get_by_label("Status").select_option("")
    expect(table.locator(".count")).to_have_text("48 rows")


def test_a_trial_opens_by_mouse_with_its_log_and_closes(opened: Open, sweep_page: Path) -> None:
    page = opened(sweep_page)
    table = grid(page, "trials")
    table.get_by_label("Status").select_option("failed")
    table.locator("button.open").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("first line")
    expect(dialog.get_by_role("table")).to_contain_text("warm-up")
    expect(dialog.locator(".chart svg.marks")).to_be_visible()
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_be_hidden()


def test_a_variant_opens_by_keyboard_and_leads_to_a_trial(opened: Open, sweep_page: Path) -> None:
    page = opened(sweep_page)
    first = grid(page, "run1-overview").locator("button.open").first
    first.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading", level=2)).to_contain_text("norm=none")
    page.keyboard.press("Tab")  # to the button that closes
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("heading", level=2)).to_contain_text("Trial b000-")
    assert page.evaluate("location.hash").startswith("#trial=b000-")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(first).to_be_focused()


def test_an_address_with_a_fragment_opens_its_trial(opened: Open, sweep_page: Path) -> None:
    page = opened(sweep_page)
    grid(page, "trials").locator("button.open").nth(3).click()
    fragment, title = page.evaluate(
        "[location.hash, document.getElementById('details-title').innerText]"
    )
    reopened = opened(sweep_page, fragment)
    expect(reopened.get_by_role("dialog").get_by_role("heading", level=2)).to_have_text(title)


def test_every_chart_becomes_interactive(opened: Open, sweep_page: Path) -> None:
    page = opened(sweep_page, viewport=DESKTOP)
    draw_all_charts(page)
    interactive = page.locator("main .chart.interactive")
    expect(interactive).to_have_count(page.locator("main [data-chart]").count())
    point = page.locator("#run1-ratios-1 .mark-symbol path").first
    point.hover()
    expect(page.locator("#vg-tooltip-element")).to_contain_text("ratio")


@pytest.mark.parametrize(("window", "columns"), [(DESKTOP, 2), (PHONE, 1)])
def test_panels_are_side_by_side_if_there_is_space(
    opened: Open, sweep_page: Path, window: ViewportSize, columns: int
) -> None:
    page = opened(sweep_page, viewport=window)
    chart = page.locator("#run1-health-1 .chart")
    chart.scroll_into_view_if_needed()
    expect(page.locator("#run1-health-1 .chart.interactive")).to_be_visible()
    groups = chart.locator(".mark-group.role-scope > g > path.background")
    boxes = [box for group in groups.all() if (box := group.bounding_box())]
    # Layers have the position of their panel; legend entries are groups too, but not as high.
    panels = {(round(box["x"]), round(box["y"])) for box in boxes if box["height"] > 100}
    assert len(panels) == 8
    assert len({x for x, _ in panels}) == columns
    assert all(box["width"] >= 180 for box in boxes if box["height"] > 100)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["sweep_page", "hostile_page"])
def test_axe_finds_no_serious_violations(
    opened: Open, name: str, scheme: str, request: pytest.FixtureRequest
) -> None:
    page = opened(request.getfixturevalue(name), color_scheme=scheme, viewport=DESKTOP)
    draw_all_charts(page)
    for closed in page.locator("main details").all():
        closed.evaluate("(element) => { element.open = true; }")
    assert serious_violations(page) == []
    grid(page, "trials").locator("button.open").first.click()
    assert serious_violations(page) == []


def test_the_page_never_scrolls_sideways_on_a_phone(opened: Open, sweep_page: Path) -> None:
    page = opened(sweep_page, viewport=PHONE)
    draw_all_charts(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    grid(page, "trials").locator("button.open").first.click()
    box = page.get_by_role("dialog").bounding_box()
    assert box is not None and box["width"] <= PHONE["width"]


def test_harmful_names_are_shown_as_text(opened: Open, hostile_page: Path) -> None:
    page = opened(hostile_page)
    draw_all_charts(page)
    table = grid(page, "run1-overview")
    shown = [" ".join(text.split()) for text in column(table, 0)]
    assert shown == [" ".join(label.split()) for label in HARMFUL]
    for button in range(len(HARMFUL)):
        table.locator("button.open").nth(button).click()
        title = page.get_by_role("dialog").get_by_role("heading", level=2)
        expect(title).to_contain_text(HARMFUL[button][:20])
        page.keyboard.press("Escape")
    page.locator("#run1-ratios-1 .mark-symbol path").nth(1).hover()
    expect(page.locator("#vg-tooltip-element")).to_be_visible()
    assert page.locator("main img, main iframe, main script, dialog script").count() == 0


def test_a_printed_page_has_every_row_and_no_controls(opened: Open, sweep_page: Path) -> None:
    page = opened(sweep_page)
    table = grid(page, "trials")
    table.locator("thead th").first.get_by_role("button").click()
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert table.locator("tbody tr").count() == 48
    expect(table.get_by_label("Filter")).to_be_hidden()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
