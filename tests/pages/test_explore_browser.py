"""The sliders of the site in a real browser: what they draw and say."""

import html
import json
from pathlib import Path

import pytest

from tests.pages.chromium import chromium, needs_browser


pytestmark = needs_browser
SCRIPT = Path(__file__).parents[2] / "notebooks" / "_static" / "explore.js"
DATA = {
    "x": "layer",
    "y": "gradient",
    "sliders": [["kind", ["a", "b"], "a"], ["gain", ["1", "2", "3"], "2"]],
    "series": {
        "a|1": [[-1, 0], [-2, 0]],
        "a|2": [[-0.3, -0.1, 0], [None, -0.2, 0]],
        "a|3": [[-12.4, -6, 0], [-12, -50, 0]],
        "b|2": [[0, 0], [0, 0]],
        "b|3": [[1, 0], [1, 0]],
    },
}


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    page = tmp_path_factory.mktemp("explore") / "page.html"
    chart = html.escape(json.dumps(DATA))
    script = SCRIPT.read_text(encoding="utf-8")
    page.write_text(
        f'<!doctype html><meta charset="utf-8"><div class="explore" '
        f'data-chart="{chart}"></div><script>{script}</script>',
        encoding="utf-8",
    )
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        driver.get(page.as_uri())
        yield driver


def state(browser):
    """The number of points of the line, that of the dots, and the sentence."""
    line = browser.find_element("css selector", "polyline").get_attribute("points")
    dots = browser.find_elements("css selector", "circle")
    said = browser.find_element("css selector", ".said").text
    return len((line or "").split()), len(dots), said


def choose(browser, selector, value):
    browser.execute_script(
        "const input = document.querySelector(arguments[0]); "
        "input.value = arguments[1]; input.dispatchEvent(new Event('input'));",
        selector,
        value,
    )


def test_the_line_and_the_dots_are_those_of_the_choice(browser):
    begins = "The gradient at the first layer is"
    wanted = f"{begins} 0.5 times that at the last by theory, and nothing in the"
    assert state(browser) == (3, 2, f"{wanted} network.")
    choose(browser, "input", 2)
    # What float32 cannot hold is left out.
    wanted = f"{begins} 10⁻¹² times that at the last by theory, and 10⁻¹² times in"
    assert state(browser) == (3, 2, f"{wanted} the network.")
    choose(browser, "select", "b")
    assert state(browser)[:2] == (2, 2) and "10 times" in state(browser)[2]
    shown = browser.find_element("css selector", "output").text
    slider = browser.find_element("css selector", "input")
    assert shown == slider.get_attribute("aria-valuetext") == "3"
    assert not browser.get_log("browser")
