"""Networks refuse wrong arguments by name, and name the right call.

Annotations are not enforced here, since they would raise before the library's errors.
"""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxnets import models, nn


pytestmark = pytest.mark.usefixtures("unchecked_annotations")


def make(name, *arguments, **options):
    return getattr(models, name)(*arguments, **options, rngs=nnx.Rngs(0))


# The network, its arguments, the error and what its message has.
WRONG = [
    ("ConvNet", ((8, 8), 10), {}, ValueError, "`image_shape` is (8, 8); wanted"),
    ("ConvNet", ((8, 8), 10), {}, ValueError, "Gray images have 1 channel"),
    ("ConvNet", (3, 10), {}, TypeError, "`ConvNet((8, 8, 1), 10, rngs=rngs)`"),
    ("ConvNet", ((8, 0, 1), 10), {}, ValueError, "`image_shape` is (8, 0, 1)"),
    ("ConvNet", ((8, 8, 1.0), 10), {}, TypeError, "`image_shape` is (8, 8, 1.0)"),
    ("ConvNet", ((8, 8, 1), 0), {}, ValueError, "`classes` is 0; wanted 1 or more"),
    ("ConvNet", ((8, 8, 1), 3), {"widths": 3}, TypeError, "`widths` is 3; wanted a"),
    ("ConvNet", ((8, 8, 1), 3), {"widths": (0,)}, ValueError, "`widths[0]` is 0"),
    ("ConvNet", ((8, 8, 1), 3), {"hidden": True}, TypeError, "`hidden` is True"),
    ("ConvNet", ((8, 8, 1), 3), {"dropout": 1.5}, ValueError, "`dropout` is 1.5"),
    ("ConvNet", ((8, 8, 1), 3), {"activation": "relu"}, TypeError, "`activation`"),
    ("MLP", (64, 10), {"widths": 3}, TypeError, "`widths` is 3; wanted a sequence"),
    ("MLP", (64, 10), {"widths": (3, 2.0)}, TypeError, "`widths[1]` is 2.0"),
    ("MLP", (64, 0), {"widths": (3,)}, ValueError, "`classes` is 0"),
    ("MLP", ((8, 8, 1), 10), {"widths": (3,)}, TypeError, "this shape: `MLP(64, ...)`"),
    (
        "MLP",
        (64, 10),
        {"widths": (3,), "activation": "relu"},
        TypeError,
        "`activation` is 'relu'; wanted a function of arrays",
    ),
    ("MLP", (64, 10), {"widths": (3,), "gain": "2"}, TypeError, "`gain` is '2'"),
    ("MLP", (64, 10), {"widths": (3,), "gain": -1.0}, ValueError, "`gain` is -1.0"),
    ("MLP", (64, 10), {"widths": (3,), "dropout": -1}, ValueError, "`dropout` is -1"),
    ("ResNet", (20, (8, 8, 3), 10), {}, TypeError, "`ResNet(20, 3, 10, ...)`"),
    ("PlainNet", (20, (8, 8, 3), 10), {}, TypeError, "`PlainNet(20, 3, 10, ...)`"),
    ("ResNet", ((8, 8, 3), 10, 20), {}, TypeError, "`depth` is (8, 8, 3); wanted an"),
    ("ResNet", (20.0, 3, 10), {}, TypeError, "`depth` is 20.0; wanted an int"),
    ("ResNet", (20, 3, 0), {}, ValueError, "`classes` is 0; wanted 1 or more"),
    ("ResNet", (20, 0, 10), {}, ValueError, "`in_features` is 0"),
    ("ResNet", (20, 3, 10), {"widths": 16}, TypeError, "`widths` is 16; wanted a"),
    ("ResNet", (20, 3, 10), {"batch_norm": 1}, TypeError, "`batch_norm` is 1"),
    ("ResNet", (20, 3, 10), {"kernel_init": "he"}, TypeError, "`kernel_init` is 'he'"),
    ("ManyToOne", ("lstm", 2, 3, 1), {}, TypeError, "`layer` is of type str; wanted"),
    ("ManyToOne", (nn.Conv, 2, 3, 1), {"kernel_size": (3,)}, TypeError, "`layer`"),
    ("ManyToOne", (nn.LSTM, 2, 3, 0), {}, ValueError, "`outputs` is 0"),
    ("ManyToOne", (nn.LSTM, 2, 0, 1), {}, ValueError, "`hidden` is 0"),
    ("CharacterModel", (nn.LSTM, 0, 3), {}, ValueError, "`vocabulary` is 0"),
    ("CharacterModel", (nn.LSTM, "abc", 3), {}, TypeError, "`vocabulary` is 'abc'"),
]


@pytest.mark.parametrize(("name", "arguments", "options", "kind", "text"), WRONG)
def test_a_network_names_the_wrong_argument(name, arguments, options, kind, text):
    with pytest.raises(kind, match=re.escape(text)):
        make(name, *arguments, **options)


@pytest.mark.parametrize(
    ("network", "shape", "text"),
    [
        (("ConvNet", (4, 4, 1), 2), (2, 4, 5, 1), r"(batch, 4, 4, 1)"),
        (("ConvNet", (4, 4, 1), 2), (4, 4, 1), "`x[None]`"),
        (
            ("ResNet", 8, 1, 2),
            (2, 4, 4, 3),
            "shape (batch, height, width, 1)",
        ),
        (("ResNet", 8, 1, 2), (4, 4, 1), "`x[None]`"),
    ],
)
def test_images_of_another_shape_are_refused(network, shape, text):
    name, *arguments = network
    options = {"widths": (2,)} if name == "ConvNet" else {"widths": (2, 2, 2)}
    with pytest.raises(ValueError, match=re.escape(text)):
        make(name, *arguments, **options)(jnp.ones(shape))


def test_features_of_another_number_are_refused():
    model = make("MLP", 6, 2, widths=(3,))
    with pytest.raises(ValueError, match=r"`x` has shape \(2, 5\), .* wanted 6"):
        model(jnp.ones((2, 5)))


@pytest.fixture(scope="module")
def characters():
    return make("CharacterModel", nn.RNN, 5, 3)


@pytest.mark.parametrize(
    ("ids", "kind", "text"),
    [
        ([[0, 9]], ValueError, "`characters` has the id 9; wanted integers of shape"),
        ([[0, -1]], ValueError, "`characters` has the id -1; .* 0 to 4"),
        ([[0.5]], TypeError, "`characters` has dtype float32"),
        ([[True]], TypeError, "`characters` has dtype bool"),
        ([0, 1], ValueError, r"`characters` has shape \(2,\); .* `x\[None\]`"),
        ("abc", TypeError, "`characters` is of type str"),
    ],
)
def test_characters_are_ids_of_the_vocabulary(characters, ids, kind, text):
    with pytest.raises(kind, match=text):
        characters(ids if isinstance(ids, str) else np.asarray(ids))


def test_under_jit_other_ids_are_no_character(characters):
    run = jax.jit(lambda ids: characters(ids))
    outside, other = run(jnp.array([[9, 1]])), run(jnp.array([[-1, 1]]))
    np.testing.assert_array_equal(outside, other)
    with pytest.raises(TypeError, match="`characters` has dtype float32"):
        run(jnp.array([[0.5]]))


@pytest.mark.parametrize(
    ("arguments", "options", "kind", "text"),
    [
        (([0, 1], 3), {}, ValueError, r"`start` has shape \(2,\)"),
        ((np.zeros((1, 2)), 3), {}, TypeError, "`start` has dtype float32"),
        ((np.array([[7]]), 3), {}, ValueError, "`start` has the id 7"),
        ((np.array([[0]]), -1), {}, ValueError, "`count` is -1; wanted 0 or more"),
        ((np.array([[0]]), 1.5), {}, TypeError, "`count` is 1.5; wanted an int"),
        ((np.array([[0]]), 1), {"key": 3}, TypeError, "`key` is of type int"),
    ],
)
def test_generation_names_the_wrong_argument(
    characters, arguments, options, kind, text
):
    with pytest.raises(kind, match=text):
        characters.generate(*arguments, **options)


def test_a_list_starts_a_generation(characters):
    assert characters.generate([[0, 1]], 0).shape == (1, 0)
