"""Pages with a trained network: its weights, and what is refused."""

import base64
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxnets import functional as F
from jaxnets import models, nn
from jaxnets.tasks.character_network import CharacterRecipe, made_again
from jaxnets.tasks.live.page import live_page
from jaxnets.tasks.live.weights import lstm_weights, resnet_weights
from jaxnets.tasks.music import TASK as MUSIC
from jaxnets.tasks.writing import write_page


def layers(**options):
    rngs = nnx.Rngs(0)
    recurrent = nn.LSTM(3, 5, rngs=rngs, **options)
    return recurrent, nnx.Linear(recurrent.out_features, 7, rngs=rngs)


def unpacked(entry):
    dtype = np.dtype(entry["dtype"]).newbyteorder("<")
    numbers = np.frombuffer(base64.b64decode(entry["data"]), dtype)
    numbers = numbers.reshape(entry["shape"])
    return numbers * unpacked(entry["scale"]) if "scale" in entry else numbers


@pytest.mark.parametrize(("dtype", "rtol"), [("float16", 2**-11), ("float32", 0)])
def test_the_weights_are_those_of_the_layers(dtype, rtol):
    recurrent, output = layers(num_layers=2)
    found = lstm_weights(recurrent, output, dtype)
    for (params,), entry in zip(recurrent.layer_params, found["layers"], strict=True):
        for name in ("w_xh", "w_hh", "b"):
            np.testing.assert_allclose(
                unpacked(entry[name]), getattr(params, name), rtol=rtol, atol=1e-7
            )
    kernel = unpacked(found["output"]["kernel"])
    np.testing.assert_allclose(kernel, output.kernel[...], rtol=rtol, atol=1e-7)


def test_one_byte_is_right_to_half_a_step_of_its_column():
    recurrent, output = layers()
    # Columns of different sizes, and one of zeros.
    output.kernel[...] *= jnp.array([1.0, 1e-3, 1e6, 0.0, 1.0, 1.0, 1.0])
    found = lstm_weights(recurrent, output, "int8")
    given = np.asarray(output.kernel[...])
    kernel = found["output"]["kernel"]
    assert kernel["dtype"] == "int8" and len(kernel["data"]) == 4 * -(-given.size // 3)
    error = np.abs(unpacked(kernel) - given)
    half = np.abs(given).max(axis=0) / 254
    assert (error <= 1.0001 * half).all() and (error > 0.1 * half).any()
    bias = np.asarray(recurrent.layer_params[0][0].b, np.float16)
    np.testing.assert_array_equal(unpacked(found["layers"][0]["b"]), bias)


@pytest.mark.parametrize(
    "options", [{"bidirectional": True}, {"peephole": True}, {"projection": 2}]
)
def test_layers_that_the_script_does_not_know_are_refused(options):
    with pytest.raises(ValueError, match="`recurrent` has two directions, peepholes"):
        lstm_weights(*layers(**options))


def test_weights_beyond_sixteen_bits_are_written_with_more():
    recurrent, output = layers()
    output.kernel[...] = jnp.full((5, 7), 1e5)
    found = lstm_weights(recurrent, output)["output"]
    assert (found["kernel"]["dtype"], found["bias"]["dtype"]) == ("float32", "float16")
    assert unpacked(found["kernel"]).min() == 1e5
    output.kernel[...] = jnp.full((5, 7), jnp.inf)
    with pytest.raises(ValueError, match="A weight is not finite; wanted a network"):
        lstm_weights(recurrent, output)


def test_a_batch_norm_goes_into_the_convolution_before_it():
    model = models.ResNet(6, 1, 10, widths=(3,), rngs=nnx.Rngs(0))
    model.eval()
    moved = lambda array: (
        array + 0.5 * jnp.cos(jnp.arange(array.size)).reshape(array.shape)
    )
    nnx.update(model, jax.tree.map(moved, nnx.state(model)))
    found = resnet_weights(model)
    # The last block of the stack.
    branch = nnx.merge(
        *jax.tree.map(lambda a: a[1], nnx.split(model.stages[0][0].blocks))
    ).branch
    x = jnp.sin(jnp.arange(64.0 * 3).reshape(1, 8, 8, 3))
    layers = {
        "first": branch.first_norm(branch.first(x)),
        "second": branch.second_norm(branch.second(x)),
    }
    for name, expected in layers.items():
        entry = found["blocks"][1][name]
        y = F.conv(x, unpacked(entry["kernel"]), unpacked(entry["bias"]))
        np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)


def test_a_network_without_batch_norm_is_refused():
    model = models.ResNet(4, 1, 10, widths=(2,), batch_norm=False, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="`model` has no BatchNorm"):
        resnet_weights(model)


def test_no_text_ends_the_element_it_stands_in():
    settings = {"alphabet": "</script><script>alert(1)</script>"}
    page = live_page("characters", {}, settings)
    [data] = re.findall(
        r'<script type="application/json" id="data">(.*?)</script>', page
    )
    assert json.loads(data)["settings"] == settings


def test_the_page_of_a_network_as_large_as_that_of_music_is_below_a_megabyte(tmp_path):
    assert isinstance(MUSIC.recipe, CharacterRecipe)
    about = {"alphabet": list(range(80)), "network": MUSIC.recipe.network}
    model = made_again(nnx.Rngs(0), about)
    [link] = write_page(model, about, tmp_path)
    assert 500_000 < (tmp_path / link.file).stat().st_size < 1_000_000
