"""What a person sees who opens a report: its pages in a browser that reaches nothing but the folder."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser import BROWSER, DRIVER
from tests.browser import browser as opened_browser
from tests.flows.conftest import SMALL, Mfcore, ran

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (BROWSER and DRIVER), reason="needs Chromium and chromedriver on the PATH"),
]

WIDE, NARROW = 1280, 360


@pytest.fixture(scope="module")
def folder(mfcore: Mfcore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a small run, moved elsewhere: nothing in it knows where it lies."""
    ran(mfcore, "--dataset", SMALL, "--trials", 2, "--algorithms", "als")
    outcome = mfcore("report", "--json")
    assert outcome.code == 0, outcome.err
    moved = tmp_path_factory.mktemp("moved") / "a report"
    shutil.move(outcome.document["path"], moved)
    return moved


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Chrome"]:
    with opened_browser(tmp_path_factory.mktemp("browser"), WIDE, 900) as opened:
        yield opened


def show(browser: "Chrome", page: Path, width: int = WIDE, scheme: str = "light") -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width == NARROW}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    browser.get(page.as_uri())


def asked_for(browser: "Chrome") -> set[str]:
    """Addresses that pages requested since the last look; those of the browser's own first page are left out."""
    messages = [json.loads(line["message"])["message"] for line in browser.get_log("performance")]
    urls = {one["params"]["request"]["url"] for one in messages if one["method"] == "Network.requestWillBeSent"}
    return {url for url in urls if not url.startswith(("chrome:", "chrome-untrusted:", "data:"))}


def test_pages_ask_for_nothing_outside_the_folder_and_complain_of_nothing(folder: Path, browser: "Chrome") -> None:
    asked_for(browser)
    for page in sorted(folder.glob("*.html")):
        show(browser, page)
    urls = asked_for(browser)
    assert {(folder / name).as_uri() for name in ("style.css", "search.js", "catalog.js", "index.html")} <= urls
    assert all(url.startswith(folder.as_uri()) for url in urls), urls
    assert browser.get_log("browser") == []


@pytest.mark.parametrize("width", [NARROW, 768, WIDE])
def test_no_page_is_wider_than_the_screen(folder: Path, browser: "Chrome", width: int) -> None:
    for page in sorted(folder.glob("*.html")):
        show(browser, page, width)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width, page.name


def test_text_stands_out_in_the_light_and_in_the_dark(folder: Path, browser: "Chrome") -> None:
    papers = set()
    for scheme in ("light", "dark"):
        show(browser, folder / "user-1.html", scheme=scheme)
        colors = [
            browser.execute_script(
                "const c = getComputedStyle(document.querySelector(arguments[0]))[arguments[1]];"
                "return c.match(/[\\d.]+/g).map(Number)",
                *where,
            )
            for where in (("body", "color"), (".soft", "color"), ("body", "backgroundColor"))
        ]
        papers.add(tuple(colors[2]))
        for text in colors[:2]:
            assert contrast(text, colors[2]) >= 4.5, (scheme, colors)  # WCAG 2.2, 1.4.3
    assert len(papers) == 2


def contrast(one: list[float], other: list[float]) -> float:
    """The ratio of the luminances of two colors, as WCAG 2 defines it."""

    def luminance(color: list[float]) -> float:
        shares = [value / 255 for value in color[:3]]
        red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in shares)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_search_leads_to_users_and_titles_by_keyboard_alone(folder: Path, browser: "Chrome") -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    def type_in(*keys: str) -> None:
        ActionChains(browser).send_keys(*keys).perform()

    def found() -> list[Any]:
        return [one.text for one in browser.find_elements("css selector", "#found li")]

    show(browser, folder / "user-1.html")
    title = browser.find_element("tag name", "h1").text
    show(browser, folder / "index.html")
    type_in("/", title.lower())
    assert found()[0].startswith(title)
    type_in(Keys.ARROW_DOWN, Keys.ENTER)
    assert browser.current_url == (folder / "user-1.html").as_uri()

    show(browser, folder / "similar.html")
    known = browser.find_elements("css selector", ".neighborhood h2")[3].text
    show(browser, folder / "index.html")
    type_in("/", known, Keys.ENTER)
    assert browser.current_url.startswith((folder / "similar.html").as_uri() + "#item-")
    anchor = browser.current_url.partition("#")[2]
    assert browser.find_element("css selector", f"#{anchor} h2").text == known

    show(browser, folder / "index.html")
    type_in("/", "<img src=x onerror=alert(1)>")
    assert found() == ["Nothing by that name"]
    type_in(Keys.ESCAPE)
    assert found() == [] or not browser.find_element("id", "found").is_displayed()
