"""The page of the digits in a real browser: against JAX, and what a person does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxnets import models
from jaxnets.data import Labelled
from jaxnets.tasks.images import write_page
from tests.pages.chromium import chromium, needs_browser, requested, set_width


pytestmark = needs_browser


@pytest.fixture(scope="module")
def model():
    """Its BatchNorm layers have statistics, scales and biases as after a training."""
    made = models.ResNet(10, 1, 10, widths=(3, 5), rngs=nnx.Rngs(0))
    made.eval()
    moved = lambda array: (
        array + 0.3 * jnp.sin(jnp.arange(array.size) + 1.0).reshape(array.shape)
    )
    nnx.update(made, jax.tree.map(moved, nnx.state(made)))
    return made


@pytest.fixture(scope="module")
def digits():
    ink = np.random.default_rng(0).integers(0, 17, (6, 8, 8, 1))
    return Labelled((ink / 16).astype(np.float32), np.array([3, 1, 3, 7, 1, 3]))


@pytest.fixture(scope="module")
def browser(tmp_path_factory, model, digits):
    folder = tmp_path_factory.mktemp("digits")
    page = folder / write_page(model, digits, folder).file
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        driver.get(page.as_uri())
        yield driver


def ink(browser):
    """What the page shows: the ink of each cell as its name says it."""
    labels = browser.execute_script(
        "return cells.map(cell => cell.getAttribute('aria-label'))"
    )
    return np.array([int(label.split()[-3]) for label in labels]).reshape(8, 8)


def find(browser, name):
    return browser.find_element("id", name)


def test_the_logits_are_those_of_jax(browser, model, digits):
    found = browser.execute_script(
        "return arguments[0].map(values => [...network.logits("
        "{ size: 8, channels: 1, values: Float64Array.from(values) })])",
        digits.x.reshape(6, 64).tolist(),
    )
    expected = np.asarray(nnx.jit(model)(digits.x))
    assert np.ptp(expected, axis=0).max() > 0.1
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_digit_of_the_data_is_shown_and_read(browser, model, digits):
    chances = np.asarray(jax.nn.softmax(nnx.jit(model)(digits.x)))
    # One of each class, in their order.
    for row in (1, 0, 3):
        find(browser, "example").click()
        np.testing.assert_array_equal(ink(browser), 16 * digits.x[row, ..., 0])
        rows = browser.execute_script(
            "return [...document.querySelectorAll('#digits tr')].map(row =>"
            " [row.cells[1].textContent, row.className])"
        )
        expected = [f"{100 * chance:.1f} %" for chance in chances[row]]
        assert [text for text, _ in rows] == expected
        likeliest = int(chances[row].argmax())
        assert [name for _, name in rows].index("likeliest") == likeliest
        assert f"The network reads a {likeliest}, " in find(browser, "said").text
    find(browser, "clear").click()
    assert ink(browser).sum() == 0
    assert find(browser, "said").text == "The pad is empty."


@pytest.mark.parametrize("width", [390, 1280])
def test_a_person_draws(browser, width):
    from selenium.webdriver.common.action_chains import ActionChains

    for name in ("browser", "performance"):
        browser.get_log(name)
    set_width(browser, width)
    browser.refresh()
    pad = find(browser, "pad")
    # A line down the middle, which is as wide as the brush.
    high = pad.size["height"]
    mouse = ActionChains(browser, duration=20)
    mouse.move_to_element_with_offset(pad, 0, -int(0.3 * high)).click_and_hold()
    mouse.move_by_offset(0, int(0.6 * high)).release().perform()
    drawn = ink(browser)
    assert (drawn[2:6, 3:5] >= 8).all() and (drawn[2:6, 3:5] <= 12).all()
    assert drawn[:, :3].sum() == drawn[:, 5:].sum() == drawn[0].sum() == 0
    assert "The network reads a " in find(browser, "said").text
    # The pointer is up, so it draws no more.
    ActionChains(browser, duration=20).move_by_offset(50, 0).perform()
    np.testing.assert_array_equal(ink(browser), drawn)
    assert browser.execute_script(
        "return document.documentElement.scrollWidth <= window.innerWidth"
    )
    assert browser.get_log("browser") == []
    urls = {url for url in requested(browser) if url[:5] != "data:"}
    assert urls == {browser.current_url}


def test_the_keyboard_is_enough(browser):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    browser.refresh()
    browser.execute_script("cells[0].focus()")
    press = lambda *keys: ActionChains(browser).send_keys(*keys).perform()
    press(Keys.SPACE, Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ARROW_RIGHT, Keys.SPACE)
    expected = np.zeros((8, 8), int)
    expected[0, 0] = expected[2, 1] = 16
    np.testing.assert_array_equal(ink(browser), expected)
    focused = "return document.activeElement.getAttribute('aria-label')"
    assert browser.execute_script(focused) == "row 3, column 2: ink 16 of 16"
    # It ends at the edge, a full cell is emptied, and one cell can be reached by Tab.
    press(Keys.SPACE, *[Keys.ARROW_LEFT] * 3, *[Keys.ARROW_UP] * 3)
    assert browser.execute_script(focused) == "row 1, column 1: ink 16 of 16"
    assert ink(browser).sum() == 16
    assert len(browser.find_elements("css selector", "#pad [tabindex='0']")) == 1
