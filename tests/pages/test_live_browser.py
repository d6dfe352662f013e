"""The pages in a real browser: the JavaScript against JAX, and what a person does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxnets import functional as F
from jaxnets import models, nn
from jaxnets.tasks.live.page import live_page
from jaxnets.tasks.live.weights import lstm_weights
from jaxnets.tasks.sketch.continuation import write_page
from jaxnets.tasks.sketch.drawings import without_end
from jaxnets.tasks.sketch.network import Network
from tests.pages.chromium import (
    chromium,
    needs_browser,
    requested,
    set_scheme,
    set_width,
)
from tests.pages.test_live import unpacked


pytestmark = needs_browser
COMPONENTS = 3
POINTS = [[0, 0, 0], [14.5, -3, 0], [2, 30, 1], [-50, 7, 0], [0.25, 0, 0]]
ABOUT = {
    "scale": 20.0,
    "step": 10.0,
    "extent": 300.0,
    "length": 24,
    "beginnings": [[[0, 0, 0], [12, 1, 0], [11, 0, 1], [-30, 20, 0]]],
}


@pytest.fixture(scope="module")
def model():
    """Its weights are numbers of 16 bits, so the page has them exactly."""
    made = Network(nnx.Rngs(0), ABOUT["scale"], hidden=9, components=COMPONENTS)
    rounded = lambda array: array.astype(jnp.float16).astype(jnp.float32)
    nnx.update(made, jax.tree.map(rounded, nnx.state(made)))
    return made


@pytest.fixture(scope="module")
def page(tmp_path_factory, model):
    return write_page(model, ABOUT, tmp_path_factory.mktemp("live"))


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        # The network draws at once, and not one point in each frame.
        feature = {"name": "prefers-reduced-motion", "value": "reduce"}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        yield driver


def strokes(browser):
    """Number of places of each stroke: those of the person and of the network."""
    return browser.execute_script(
        "return [false, true].map(model => strokes.filter(s => s.model === model)"
        ".map(s => s.places.length))"
    )


def press(browser, name):
    browser.execute_script("document.getElementById(arguments[0]).click()", name)


def test_the_mixtures_are_those_of_jax(browser, page, model):
    browser.get(page.as_uri())
    found = browser.execute_script(
        "const [, outputs] = readPoints(arguments[0]);"
        "const mixture = mixtureOf(outputs); return [[...outputs],"
        " softmax(mixture.logits), [...mixture.meansX], [...mixture.logDeviationsY],"
        " [...mixture.r], mixture.lifted]",
        POINTS,
    )
    _, outputs = model(jnp.array([POINTS]))
    outputs = np.asarray(outputs[0, -1])
    np.testing.assert_allclose(found[0], outputs, atol=1e-4)
    parts = outputs[:-1].reshape(6, COMPONENTS)
    np.testing.assert_allclose(found[1], jax.nn.softmax(parts[0]), atol=1e-4)
    for mine, expected in zip(found[2:5], (parts[1], parts[4], parts[5]), strict=True):
        np.testing.assert_allclose(mine, expected, atol=1e-4)
    np.testing.assert_allclose(found[5], outputs[-1], atol=1e-4)
    assert np.ptp(outputs) > 0.1


def test_its_points_have_the_moments_of_the_mixture(browser, page):
    """One component of mean (1, -2), deviations (0.5, 2) and correlation tanh(0.7)."""
    browser.get(page.as_uri())
    outputs = [0.0, 1.0, -2.0, np.log(0.5), np.log(2.0), 0.7, 1.0]
    drawn = browser.execute_script(
        "return Array.from({length: 20000}, () => samplePoint(arguments[0], 0.25))",
        outputs,
    )
    drawn = np.array(drawn) / [ABOUT["scale"], ABOUT["scale"], 1]
    np.testing.assert_allclose(drawn[:, :2].mean(0), [1, -2], atol=0.05)
    # The temperature multiplies the variances, and divides the logit of the pen.
    np.testing.assert_allclose(drawn[:, :2].std(0), [0.25, 1], rtol=0.05)
    correlation = np.corrcoef(drawn[:, 0], drawn[:, 1])[0, 1]
    assert abs(correlation - np.tanh(0.7)) < 0.03
    assert abs(drawn[:, 2].mean() - 1 / (1 + np.exp(-4))) < 0.01
    state = F.sample_mixture(jnp.array(outputs), temperature=0)
    np.testing.assert_allclose(state[:2], [1, -2])


def test_a_drawing_ends_as_in_python(browser, page):
    browser.get(page.as_uri())
    pairs = [([5, 5, 1], [1, 1, 1]), ([5, 5, 0], [1, 1, 1]), ([5, 5, 1], [1, 1, 0])]
    pairs += [([5, 5, 1], [2, 1, 1]), ([0, 0, 1], [0, 0, 1])]
    found = browser.execute_script(
        "return arguments[0].map(([before, point]) => drawingEnds(before, point))",
        pairs,
    )
    assert found == [len(without_end(np.array(pair))) == 1 for pair in pairs]
    assert found == [True, False, False, False, True]


@pytest.mark.parametrize("width", [390, 1280])
def test_a_person_draws_and_the_network_goes_on(browser, page, width):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By

    for name in ("browser", "performance"):
        browser.get_log(name)
    set_width(browser, width)
    browser.get(page.as_uri())
    paper = browser.find_element(By.ID, "paper")
    mouse = ActionChains(browser, duration=20).move_to_element_with_offset(
        paper, -80, 0
    )
    mouse = mouse.click_and_hold()
    for _ in range(6):
        mouse = mouse.move_by_offset(20, 5)
    mouse.release().perform()
    browser.execute_script("window.drawingEnds = () => false")
    (mine,), drawn = strokes(browser)
    assert 3 <= mine <= 16 and drawn == []
    press(browser, "continue")
    mine_after, drawn = strokes(browser)
    assert mine_after == [mine] and sum(drawn) >= ABOUT["length"] - mine
    lines = browser.find_elements(By.CSS_SELECTOR, "#paper polyline.model")
    assert len(lines) == len(drawn)
    before = browser.execute_script("return pointsOf(strokes)")
    press(browser, "continue")
    # What was there stays, and no place is counted twice where strokes join.
    after = browser.execute_script("return pointsOf(strokes)")
    assert len(after) == len(before) + ABOUT["length"] / 4
    np.testing.assert_allclose(
        np.array(after)[: len(before), :2], np.array(before)[:, :2], atol=1e-9
    )
    press(browser, "again")
    assert strokes(browser)[0] == [mine]
    press(browser, "clear")
    assert strokes(browser) == [[], []]
    assert browser.find_elements(By.CSS_SELECTOR, "#paper polyline") == []
    assert browser.execute_script(
        "return document.documentElement.scrollWidth <= window.innerWidth"
    )
    assert browser.get_log("browser") == []
    assert {url for url in requested(browser) if url[:5] != "data:"} == {page.as_uri()}


def test_the_keyboard_is_enough_and_the_colours_follow_the_scheme(browser, page):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    browser.get(page.as_uri())
    find = lambda name: browser.find_element(By.ID, name)
    find("beginning").send_keys(Keys.ENTER)
    assert strokes(browser) == [[3, 1], []]
    browser.execute_script("window.drawingEnds = () => false")
    slider = find("temperature")
    slider.send_keys(Keys.HOME)
    shown = slider.find_element(By.XPATH, "following-sibling::output")
    assert shown.text == "0.05"
    find("continue").send_keys(Keys.SPACE)
    _, drawn = strokes(browser)
    # The pen was down after the beginning, so the first stroke starts at its end.
    assert sum(drawn) == 1 + ABOUT["length"] - 4
    assert "4 points are yours, " in find("said").text
    browser.execute_script("window.drawingEnds = () => true")
    find("continue").send_keys(Keys.SPACE)
    assert strokes(browser)[1] == drawn
    assert "The network has ended the drawing" in find("said").text
    stroke = "return getComputedStyle(document.querySelector('#paper polyline')).stroke"
    colours = []
    for scheme in ("light", "dark"):
        set_scheme(browser, scheme)
        colours.append(browser.execute_script(stroke))
    assert colours[0] != colours[1]


def test_the_page_of_a_text_reads_what_is_typed(browser, tmp_path):
    """With two layers, and the weights in 32 bits."""
    from selenium.webdriver.common.by import By

    alphabet = "\n <abcé🙂"
    model = models.CharacterModel(
        nn.LSTM, len(alphabet), 6, num_layers=2, rngs=nnx.Rngs(1)
    )
    weights = lstm_weights(model.recurrent, model.output, "float32")
    path = tmp_path / "characters.html"
    path.write_text(
        live_page(
            "characters", weights, {"alphabet": list(map(ord, alphabet)), "end": ""}
        )
    )
    browser.get_log("browser")
    browser.get(path.as_uri())
    browser.execute_script(
        "typed.value = arguments[0]; typed.dispatchEvent(new Event('input'))",
        "ab é🙂<?",
    )
    found = browser.execute_script(
        "return [read.map(entry => entry.character).join(''),"
        " read.map(entry => entry.chance), [...made].length]"
    )
    text = "ab é🙂<"
    ids = np.array([alphabet.index(character) for character in "\n" + text])
    chances = np.asarray(jax.nn.softmax(model(ids[None])))[0]
    expected = chances[np.arange(len(text)), ids[1:]]
    assert (found[0], found[2]) == (text, 160)
    np.testing.assert_allclose(found[1], expected, atol=1e-5)
    packed = lstm_weights(model.recurrent, model.output, "int8")["output"]["kernel"]
    kernel = browser.execute_script("return [...unpack(arguments[0])]", packed)
    np.testing.assert_array_equal(kernel, unpacked(packed).ravel())
    assert "does not know it: ?" in browser.find_element(By.ID, "said").text
    assert browser.find_elements(By.CSS_SELECTOR, "#shown script") == []
    assert len(browser.find_elements(By.CSS_SELECTOR, "#next tr")) == 8
    # A text that ends, here after any "a", is not gone on with.
    ended = browser.execute_script(
        "settings.end = 'a'; return [1, 2, 3].map(() => { update(); return made; })"
    )
    assert all(text.find("a") in (-1, len(text) - 1) for text in ended)
    assert min(map(len, ended)) < 160
    assert browser.get_log("browser") == []
