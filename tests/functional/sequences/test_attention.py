"""Attention against plain loops, and what lies in the padding of a memory."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets import functional as F
from tests.oracles import sequences as oracle


LENGTHS = np.array([5, 0, 3])
FUNCTIONS = {
    "dot": lambda q, k, m, v: F.dot_product_attention(
        q, k, m, lengths=LENGTHS, scale=0.7
    ),
    "additive": lambda q, k, m, v: F.additive_attention(q, k, m, v, lengths=LENGTHS),
}
SCORES = {
    "dot": lambda v: lambda q, k: 0.7 * np.dot(q, k),
    "additive": lambda v: lambda q, k: np.dot(v, np.tanh(q + k)),
}
every_kind = pytest.mark.parametrize("kind", FUNCTIONS)


@pytest.fixture
def arrays(rng):
    shapes = [(3, 2, 3), (3, 5, 3), (3, 5, 2), (3,)]
    return [rng.normal(size=shape) for shape in shapes]


def weighted_sum(outputs):
    """A scalar with another weight for every number."""
    parts = [jnp.ravel(array) for array in outputs]
    total = [part @ jnp.cos(jnp.arange(part.size, dtype=part.dtype)) for part in parts]
    return total[0] + total[1]


def numpy_sum(outputs):
    return sum(array.ravel() @ np.cos(np.arange(array.size)) for array in outputs)


@every_kind
def test_values_and_gradients_are_those_of_the_loops(kind, arrays):
    def by_loops(q, k, m, v):
        return oracle.attention(SCORES[kind](v), q, k, m, LENGTHS)

    function = FUNCTIONS[kind]
    value = lambda *arrays: (weighted_sum(outputs := function(*arrays)), outputs)
    found = jax.jit(jax.value_and_grad(value, range(4), has_aux=True))
    narrow = [array.astype(np.float32) for array in arrays]
    (_, outputs), gradients = found(*narrow)
    for actual, expected in zip(outputs, by_loops(*arrays), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)
    slopes = oracle.slopes(lambda *a: numpy_sum(by_loops(*a)), arrays)
    for actual, expected in zip(gradients, slopes, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


@every_kind
def test_what_lies_in_the_padding_reaches_nothing(kind, arrays):
    query, keys, values, v = (array.astype(np.float32) for array in arrays)
    padding = np.arange(5) >= LENGTHS[:, None]
    keys[padding], values[padding] = np.nan, np.inf
    value = lambda *arrays: weighted_sum(FUNCTIONS[kind](*arrays))
    context, weights = FUNCTIONS[kind](query, keys, values, v)
    assert (context[1] == 0).all() and (weights[1] == 0).all()
    np.testing.assert_allclose(np.asarray(weights).sum(-1)[[0, 2]], 1, rtol=1e-6)
    gradients = jax.jit(jax.grad(value, range(4)))(query, keys, values, v)
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    assert (np.asarray(gradients[1])[padding] == 0).all()


@every_kind
def test_scores_beyond_the_range_of_exp_are_no_matter(kind, arrays):
    query, keys, values, v = (1e3 * array.astype(np.float32) for array in arrays)
    function = {"dot": F.dot_product_attention, "additive": F.additive_attention}[kind]
    rest = (v,) if kind == "additive" else ()
    context, weights = function(query, keys, values, *rest)
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-5)
    assert np.isfinite(context).all()


def test_it_is_the_attention_of_jax(arrays):
    query, keys, values, _ = (array.astype(np.float32) for array in arrays)
    heads = lambda array: array[:, :, None]
    values = np.concatenate([values, values[..., :1]], axis=-1)  # JAX wants equal sizes
    expected = jax.nn.dot_product_attention(
        heads(query), heads(keys), heads(values), key_value_seq_lengths=LENGTHS
    )
    context, _ = F.dot_product_attention(query, keys, values, lengths=LENGTHS)
    for row in (0, 2):  # JAX averages an empty memory.
        np.testing.assert_allclose(context[row], expected[row, :, 0], rtol=1e-5)


@every_kind
def test_any_number_of_axes_of_batch_and_queries(kind, arrays):
    query, keys, values, v = (array.astype(np.float32) for array in arrays)
    function = functools.partial(
        *(F.additive_attention,)
        if kind == "additive"
        else (
            lambda q, k, m, v, **options: F.dot_product_attention(q, k, m, **options),
        )
    )
    context, weights = function(query, keys, values, v)
    alone = function(query[1, 1], keys[1], values[1], v)
    np.testing.assert_allclose(context[1, 1], alone[0], rtol=1e-5)
    wide = lambda array: array[None].repeat(2, 0)
    more = function(
        wide(query)[:, :, :, None], wide(keys), wide(values), v, lengths=wide(LENGTHS)
    )
    assert more[0].shape == (2, 3, 2, 1, 2) and more[1].shape == (2, 3, 2, 1, 5)
    np.testing.assert_allclose(more[1][1, 0, :, 0], weights[0], rtol=1e-5)


def test_a_memory_without_steps():
    query, empty = jnp.ones((2, 3)), jnp.ones((2, 0, 3))
    context, weights = F.dot_product_attention(query, empty, empty)
    assert weights.shape == (2, 0)
    np.testing.assert_array_equal(context, np.zeros((2, 3)))


X, MEMORY = np.ones((2, 3), np.float32), np.ones((2, 5, 3), np.float32)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((X, MEMORY, MEMORY[:, :4]), {}, ValueError, r"`values` \(2, 4, 3\); wanted"),
        ((X[:1], MEMORY, MEMORY), {}, ValueError, r"`query` has shape \(1, 3\)"),
        ((X[:, :2], MEMORY, MEMORY), {}, ValueError, "`query` has 2 features"),
        ((X, MEMORY.astype(int), MEMORY), {}, TypeError, "`keys` has dtype int"),
        ((X, MEMORY, MEMORY), {"scale": "1"}, TypeError, "`scale` is '1'; wanted"),
        ((X, MEMORY, MEMORY), {"lengths": X[:, 0]}, TypeError, "`lengths` has dtype"),
        (
            (X, MEMORY, MEMORY),
            {"lengths": np.array([1, 2, 3])},
            ValueError,
            r"`lengths` has shape \(3,\); wanted \(2,\)",
        ),
    ],
)
@pytest.mark.usefixtures("unchecked_annotations")
def test_errors_name_the_argument(arguments, options, error, message):
    with pytest.raises(error, match=message):
        F.dot_product_attention(*arguments, **options)


@pytest.mark.usefixtures("unchecked_annotations")
def test_units_of_the_additive_score():
    with pytest.raises(ValueError, match=r"`v` has shape \(2,\); wanted equal"):
        F.additive_attention(X, MEMORY, MEMORY, X[0, :2])
