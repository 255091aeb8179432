"""report.html and ladder.html as a reader has them: opened from disk in a real browser, without a network."""

import csv
import json
from pathlib import Path

import pytest
from conftest import ROOT

playwright = pytest.importorskip("playwright.sync_api")

REPORT = ROOT / "reports/report.html"
LADDERS = sorted((ROOT / "reports").rglob("ladder.html"))
PAGES = [REPORT, *LADDERS]


@pytest.fixture
def open_page(browser):
    """Open a file; whatever the page complains of or asks a network for fails the test at its end."""
    complaints: list[str] = []

    def open_page(path: Path, width: int = 1000, scheme: str = "light"):
        page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request",
            lambda request: request.url.startswith(("data:", "file:")) or complaints.append(f"asked for {request.url}"),
        )
        page.goto(path.as_uri())
        return page

    yield open_page
    assert not complaints


def table(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: "/".join(path.relative_to(ROOT / "reports").parts))
def test_a_page_is_small_and_whole_on_every_screen(open_page, path):
    assert path.stat().st_size < 2_000_000
    for width, scheme in ((1000, "light"), (390, "dark")):
        page = open_page(path, width, scheme)
        page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        page.evaluate("document.querySelectorAll('img').forEach(each => each.loading = 'eager')")
        page.wait_for_function("[...document.images].every(each => each.complete)")
        images = page.evaluate("[...document.images].map(each => [each.alt, each.naturalWidth])")
        assert images and all(alt and pixels for alt, pixels in images)
        wider = page.evaluate("document.scrollingElement.scrollWidth - window.innerWidth")
        assert wider <= 0, "something is wider than the screen"
        ids = page.evaluate("[...document.querySelectorAll('[id]')].map(each => each.id)")
        assert len(ids) == len(set(ids))


def test_the_report_shows_the_numbers_of_metrics_json(open_page):
    metrics = json.loads((ROOT / "reports/metrics.json").read_text())
    text = open_page(REPORT).inner_text("body")
    for name in ("accuracy", "accuracy_low", "accuracy_high", "val_accuracy", "val_accuracy_std", "chance"):
        assert f"{metrics[name]:.1%}" in text, name
    for name in ("loss", "macro_f1", "val_loss"):
        assert f"{metrics[name]:.3f}" in text, name


def test_a_cell_of_the_confusion_table_opens_its_pictures(open_page):
    predictions = table(ROOT / "reports/predictions.csv")
    page = open_page(REPORT)
    buttons = page.locator("td.cell button")
    seen = 0
    for number in range(buttons.count()):
        button = buttons.nth(number)
        box = page.locator(f"#{button.get_attribute('popovertarget')}")
        assert not box.is_visible()
        button.click()
        assert box.is_visible()
        files = box.locator("li small").all_inner_texts()
        cells = {(row["actual"], row["predicted"]) for row in predictions if row["file"] in files}
        assert len(cells) == 1, "pictures of one cell only"
        actual, predicted = cells.pop()
        count = sum((row["actual"], row["predicted"]) == (actual, predicted) for row in predictions)
        assert button.inner_text().split()[-1] == str(count)
        assert 0 < len(files) <= count
        seen += count
        box.get_by_role("button", name="close").click()
        assert not box.is_visible()
    assert seen == len(predictions), "every test picture is in a cell that opens"


def test_the_report_is_usable_by_keyboard(open_page):
    page = open_page(REPORT)
    page.keyboard.press("Tab")
    while page.evaluate("document.activeElement.getAttribute('popovertarget')") is None:
        page.keyboard.press("Tab")
    target = page.evaluate("document.activeElement.getAttribute('popovertarget')")
    page.keyboard.press("Enter")
    assert page.locator(f"#{target}").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator(f"#{target}").is_visible()


@pytest.mark.parametrize("path", LADDERS, ids=lambda path: "/".join(path.relative_to(ROOT / "reports").parts))
def test_the_ladder_shows_the_numbers_of_ladder_csv(open_page, path):
    page = open_page(path)
    rows = table(path.with_name("ladder.csv"))
    assert len(rows) >= 5
    score = "r2" if "val_r2" in rows[0] else "accuracy"
    for row in rows:
        cells = page.locator(f"tr[data-table={row['table']}][data-rung={row['rung']}]").locator("th, td")
        texts = [text.replace("\N{MINUS SIGN}", "-") for text in cells.all_inner_texts()]
        assert texts[0] == row["rung"]
        assert texts[1] == (row["changes"] or "\N{EN DASH}")
        shown = [float(part) for part in texts[2].split(" ± ")]
        assert shown == pytest.approx([float(row[f"val_{score}"]), float(row[f"val_{score}_std"])], abs=6e-4)
        for text, name in ((texts[3], f"{score}_difference"), (texts[4], "loss_difference")):
            if not row["compared_with"]:
                assert text == "\N{EN DASH}"
                continue
            shown = [float(part) for part in text.replace("(", "").replace(")", "").replace(" to ", " ").split()]
            assert shown == pytest.approx([float(row[f"{name}_{part}"]) for part in ("mean", "low", "high")], abs=6e-4)
        assert texts[5].startswith(row["verdict"] or "\N{EN DASH}")
    page.locator("summary").first.press("Enter")
    assert page.locator("details").first.get_attribute("open") is not None
