"""The gated recurrent unit: Flax with and without `b_hn`, and messages."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxnets.functional import (
    GRUParams,
    gru,
    gru_step,
    init_gru,
)
from tests.cells import GRU
from tests.functional.recurrence.setup import as_float32, draw_params


def test_flax_cell_is_the_case_without_b_hn(rng):
    cell: Any = nnx.GRUCell(3, 2, rngs=nnx.Rngs(0))
    assert cell.dense_h.bias is None
    b = jnp.asarray(rng.standard_normal(6), jnp.float32)
    cell.dense_i.bias[...] = b
    params = GRUParams(cell.dense_i.kernel[...], cell.dense_h.kernel[...], b)
    x = jax.random.normal(jax.random.key(1), (2, 5, 3))
    with jax.numpy_rank_promotion("allow"):
        expected: Any = nnx.RNN(cell, rngs=nnx.Rngs(0))(x)
    np.testing.assert_allclose(gru(params, x)[1], expected, rtol=1e-5, atol=1e-6)
    # No weights of Flax's cell give what this does.
    other = gru(params._replace(b_hn=jnp.ones(2)), x)[1]
    assert np.max(np.abs(other - expected)) > 0.05


def test_reset_forms_differ_and_agree_where_r_is_one(rng):
    params = as_float32(draw_params(GRU, rng))
    x = as_float32(rng.standard_normal((2, 5, 3)))
    after, before = (gru(params, x, reset_after=form)[1] for form in (True, False))
    assert np.max(np.abs(after - before)) > 1e-3
    always = [
        gru(params, x, reset_after=form, gate_activation=jnp.ones_like)[1]
        for form in (True, False)
    ]
    np.testing.assert_allclose(*always, rtol=1e-5)


def test_initial_weights_are_orthogonal_by_gate():
    params: Any = init_gru(jax.random.key(0), 5, 4)
    for block in jnp.split(params.w_hh, 3, axis=1):
        np.testing.assert_allclose(block @ block.T, np.eye(4), atol=1e-5)
    assert params.b.shape == (12,) and params.b_hn.shape == (4,)
    assert not np.any(params.b) and not np.any(params.b_hn)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"w_xh": np.ones((3, 5))}, "has 5 columns; wanted a multiple of 3.* r, z, n"),
        ({"w_hh": np.ones((3, 6))}, r"`params.w_hh` has shape \(3, 6\); wanted \(2, 6"),
        ({"b_hn": np.ones(6)}, r"`params.b_hn` has shape \(6,\); wanted \(2,\)"),
    ],
)
def test_messages(changes, text, rng):
    params = draw_params(GRU, rng)._replace(**changes)
    with pytest.raises(ValueError, match=text):
        gru(params, np.ones((2, 5, 3)))
    with pytest.raises(ValueError, match=text):
        gru_step(params, np.ones((2, 2)), np.ones((2, 3)))
