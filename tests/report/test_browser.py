"""The report in a real browser, opened from disk, at two widths and in two schemes."""

import json
import re

import pytest

from jaxnets.report import write_report
from jaxnets.runs.catalogue import STUDIES
from tests.pages.chromium import (
    chromium,
    needs_browser,
    requested,
    set_scheme,
    set_width,
)
from tests.report.synthetic import STEPS, records_of, write_run


pytestmark = needs_browser


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    records = [r for r in records_of() if r.size not in (8.0, 100.0, 0.5)]
    return write_report(write_run(tmp_path_factory.mktemp("run"), records))


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


def open_page(browser, page, width, scheme):
    for name in ("browser", "performance"):
        browser.get_log(name)
    set_width(browser, width)
    set_scheme(browser, scheme)
    browser.get(page.as_uri())
    wait_until_drawn(browser, scheme)


def wait_until_drawn(browser, scheme):
    from selenium.webdriver.support.ui import WebDriverWait

    drawn = "return document.body.dataset.drawn"
    WebDriverWait(browser, 60).until(lambda b: b.execute_script(drawn) == scheme)


def unfold(browser, scheme):
    """Open everything that is folded and wait until its charts are drawn."""
    from selenium.webdriver.support.ui import WebDriverWait

    browser.execute_script(
        "document.querySelectorAll('details').forEach(fold => { fold.open = true; })"
    )
    wait = "return document.querySelectorAll(`.chart:not([data-drawn=%s])`).length"
    WebDriverWait(browser, 60).until(lambda b: b.execute_script(wait % scheme) == 0)


@pytest.mark.parametrize("width, scheme", [(390, "light"), (1280, "dark")])
def test_it_draws_from_disk_alone(browser, page, width, scheme):
    open_page(browser, page, width, scheme)
    folded = browser.execute_script(
        "return [...document.querySelectorAll('details:not([open]) .chart')].map("
        " chart => chart.childElementCount)"
    )
    # What is folded is not drawn before it is opened.
    assert len(folded) > 10 and max(folded) == 0
    unfold(browser, scheme)
    marks = browser.execute_script(
        "return [...document.querySelectorAll('.chart')].map(chart =>"
        " chart.querySelectorAll("
        "'.mark-line path, .mark-symbol path, .mark-rect path').length)"
    )
    assert len(marks) > 15 and min(marks) > 0
    assert browser.get_log("browser") == []
    elsewhere = [url for url in requested(browser) if not url.startswith("data:")]
    assert set(elsewhere) == {page.as_uri()}
    assert browser.execute_script(
        "return document.documentElement.scrollWidth <= window.innerWidth"
    )
    widths = browser.execute_script(
        "return [...document.querySelectorAll('.chart')].map(chart =>"
        " chart.querySelector('svg.marks').getBoundingClientRect().right"
        " <= chart.parentElement.getBoundingClientRect().right + 1)"
    )
    assert all(widths)


def hover(browser, figure):
    """Point at the middle of a figure's first chart and return its tooltip."""
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    chart = browser.find_element(By.CSS_SELECTOR, f"#{figure} .chart svg.marks")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", chart)
    ActionChains(browser).move_to_element(chart).perform()
    tooltips = WebDriverWait(browser, 20).until(
        lambda b: b.find_elements(By.CSS_SELECTOR, "#vg-tooltip-element.visible")
    )
    cells = [cell.text for cell in tooltips[0].find_elements(By.TAG_NAME, "td")]
    return dict(zip(cells[::2], cells[1::2], strict=True))


@pytest.mark.parametrize("figure", ["gradient-by-block", "gradient-explorer"])
def test_hovering_shows_the_values(browser, page, figure):
    open_page(browser, page, 1280, "light")
    unfold(browser, "light")
    shown = hover(browser, f"depth-{figure}")
    assert shown["network"] in STUDIES["depth"].families
    assert shown["line"] in ("measured", "theory")
    assert shown["seeds"] == "3"
    assert re.match(r"−?\d+\.\d+ \(", shown["gradient norm (log10)"])
    assert 0 < float(shown["block, counted from the input"]) < 31


def test_hovering_shows_the_numbers_of_a_cell(browser, page):
    open_page(browser, page, 1280, "dark")
    unfold(browser, "dark")
    shown = hover(browser, "depth-gradient-over-training")
    assert shown["network"] == "plain"
    assert 5 < int(shown["block, counted from the input"]) < 25
    assert int(shown["updates"]) in STEPS
    assert re.fullmatch(r"−?\d\.\d\d", shown["gradient norm (log10)"])
    assert shown["seeds"] == "3"


def strokes(browser):
    """Return the SVG paths of the lines in the depth study's explorer."""
    return browser.execute_script(
        "return [...document.querySelectorAll('#depth-gradient-explorer"
        " .mark-line path')].map(path => path.getAttribute('d')).filter(Boolean)"
    )


def test_the_explorer_follows_the_controls(browser, page):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import WebDriverWait

    open_page(browser, page, 1280, "light")
    unfold(browser, "light")
    find = lambda selector: browser.find_element(
        By.CSS_SELECTOR, f"#depth-gradient-explorer {selector}"
    )
    until = lambda holds: WebDriverWait(browser, 20).until(lambda _: holds())
    before = strokes(browser)
    # Four families, and theory's lines for two of them.
    assert len(before) == 6
    slider, shown = find("[type=range]"), find("output")
    assert shown.text == "before training"
    slider.send_keys(Keys.ARROW_RIGHT)
    until(
        lambda: len(strokes(browser)) == 4 and not set(strokes(browser)) & set(before)
    )
    assert shown.text == f"after {STEPS[1]} updates"
    slider.send_keys(Keys.HOME)
    until(lambda: strokes(browser) == before)
    assert shown.text == slider.get_attribute("aria-valuetext") == "before training"
    find("input[value=plain]").send_keys(Keys.SPACE)
    until(lambda: len(strokes(browser)) == 4)
    deep = strokes(browser)
    find("select").send_keys(Keys.ARROW_UP)
    until(lambda: len(strokes(browser)) == 4 and strokes(browser) != deep)
    assert browser.get_log("browser") == []


def colours(browser):
    """Return the colour of each cell of the depth study's first heat map."""
    return browser.execute_script(
        "return [...document.querySelectorAll('#depth-gradient-over-training"
        " .chart')[0].querySelectorAll('.mark-rect path')].map("
        " cell => cell.getAttribute('fill'))"
    )


def test_a_heat_map_shows_the_depth_that_is_chosen(browser, page):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import WebDriverWait

    open_page(browser, page, 390, "dark")
    unfold(browser, "dark")
    assert len(colours(browser)) == 32 * len(STEPS)
    control = "#depth-gradient-over-training select"
    browser.find_element(By.CSS_SELECTOR, control).send_keys(Keys.ARROW_UP)
    smaller = 20 * len(STEPS)
    WebDriverWait(browser, 20).until(lambda b: len(colours(b)) == smaller)
    assert len(set(colours(browser))) > smaller / 2
    # The choice is kept when the charts are drawn again.
    set_scheme(browser, "light")
    wait_until_drawn(browser, "light")
    assert len(colours(browser)) == smaller
    assert browser.get_log("browser") == []


def test_the_charts_follow_the_colour_scheme(browser, page):
    open_page(browser, page, 1280, "light")
    background = (
        "return document.querySelector('.chart svg.marks rect.background')"
        "?.getAttribute('fill') ??"
        " document.querySelector('.chart svg.marks').style.backgroundColor"
    )
    light = browser.execute_script(background)
    set_scheme(browser, "dark")
    wait_until_drawn(browser, "dark")
    assert light != browser.execute_script(background)


def test_the_first_look_is_on_top_and_the_contents_stay(browser, page):
    open_page(browser, page, 1280, "light")
    top = "return document.querySelector('.chart svg').getBoundingClientRect().top"
    assert browser.execute_script(top) < 700
    browser.execute_script("window.scrollTo({top: 3000, behavior: 'instant'})")
    at = "return document.querySelector('nav').getBoundingClientRect().top"
    assert browser.execute_script(at) == 0
    lines = browser.execute_script(
        "return [...document.querySelectorAll('.legend')].filter("
        " legend => legend.checkVisibility()).map(legend =>"
        " new Set([...legend.children].map(item => item.offsetTop)).size)"
    )
    assert set(lines) == {1}


def test_a_word_shows_what_it_means(browser, page):
    from selenium.webdriver.common.by import By

    open_page(browser, page, 390, "light")
    word = browser.find_element(By.TAG_NAME, "dfn")
    meaning = "return getComputedStyle(arguments[0], '::after').content"
    assert browser.execute_script(meaning, word) == "none"
    word.click()
    shown = json.loads(browser.execute_script(meaning, word))
    assert shown == word.get_attribute("data-meaning")
    assert browser.execute_script(
        "return document.documentElement.scrollWidth <= window.innerWidth"
    )
