"""Cells with gates from the input only: parallel forms in float32, and messages.

`test_oracle.py` compares all forms with plain loops in float64.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnets
from jaxnets.functional.recurrence.cells import CELLS
from jaxnets.gradflow import measure
from tests.cells import LINEAR, MIN_GRU, MIN_LSTM
from tests.functional.recurrence.setup import as_float32, draw_params
from tests.oracles import recurrent as oracle


every_cell = pytest.mark.parametrize("family", LINEAR, ids=lambda f: f.name)
every_form = pytest.mark.parametrize(
    ("family", "implementation"),
    [(family, how) for family in LINEAR for how in family.implementations],
    ids=lambda value: getattr(value, "name", value),
)


def saturated(family, value):
    """Return parameters that give pre-activations of plus or minus `value` times x."""
    columns = family.gates
    signs = np.array([[1.0, -1.0, 0.5][:columns]])
    kind = CELLS[family.name].cell.params
    return kind(value * signs, np.full(columns, 0.1))


@every_form
@pytest.mark.parametrize("value", [30.0, 100.0, 1000.0])
def test_saturated_gates_have_finite_values_and_gradients(
    family, implementation, value, rng
):
    """In float32, sigmoid(-100) is zero, so a quotient of two would be NaN."""
    params = saturated(family, value)
    x = np.sign(rng.standard_normal((2, 9, 1)))

    def loss(params, x):
        _, ys = family.run(params, x, implementation=implementation)
        return jnp.sum(jnp.tanh(ys)), ys

    narrow = as_float32((params, x))
    (_, ys), gradients = jax.value_and_grad(loss, (0, 1), has_aux=True)(*narrow)
    with np.errstate(over="ignore", invalid="ignore"):
        state = np.zeros((2, 1))
        _, expected = oracle.run(family.oracle_step, params, x, state)
    known = np.isfinite(expected)
    np.testing.assert_allclose(ys[known], expected[known], rtol=1e-4, atol=1e-12)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((ys, gradients)))


def test_the_ratio_of_two_gates_that_underflow():
    """Both gates of a minLSTM underflow, but their normalised values are 1/2."""
    params = saturated(MIN_LSTM, 0.0)._replace(b=np.array([-200.0, -200.0, 0.5]))
    x = np.zeros((1, 3, 1), np.float32)
    for implementation in MIN_LSTM.implementations:
        _, ys = MIN_LSTM.run(as_float32(params), x, implementation=implementation)
        np.testing.assert_allclose(ys[0, :, 0], [0.5, 0.75, 0.875], rtol=1e-6)


def test_logarithms_represent_gates_that_round_to_one():
    """With z = sigmoid(40), which rounds to 1, each step adds 4e-18 to the state."""
    params = saturated(MIN_GRU, 0.0)._replace(b=np.array([40.0, 0.5]))
    x, h = np.zeros((1, 4, 1)), np.zeros((1, 1))
    # 1 - z is zero in float64 too, so the expected value is a geometric series.
    expected = np.exp(-40.0) * np.arange(1, 5)
    run = lambda how: MIN_GRU.run(*as_float32((params, x, h)), implementation=how)[1]
    np.testing.assert_allclose(run("associative_log")[0, :, 0], expected, rtol=1e-5)
    assert not np.any(run("associative")) and not np.any(run("scan"))


@every_form
def test_long_sequences_are_accurate(family, implementation, rng):
    """The sum of 4,000 logarithms is near -10,000, where float32 is spaced by 0.001."""
    params, x = draw_params(family, rng, 2, 3), 3.0 * rng.standard_normal((1, 4000, 2))
    _, expected = oracle.run(family.oracle_step, params, x, np.ones((1, 3)))
    narrow = as_float32((params, x, np.ones((1, 3))))
    _, ys = family.run(*narrow, implementation=implementation)
    np.testing.assert_allclose(ys, expected, rtol=3e-5, atol=1e-6)


@every_form
def test_states_of_any_sign_and_no_steps(family, implementation, rng):
    params = as_float32(draw_params(family, rng))
    x, h = as_float32((rng.standard_normal((2, 3, 3)), np.array([[-2.0, 0.0]] * 2)))
    how = {"implementation": implementation}
    _, expected = oracle.run(family.oracle_step, params, x, h)
    np.testing.assert_allclose(family.run(params, x, h, **how)[1], expected, rtol=1e-5)
    state, ys = family.run(params, x[:, :0], h, **how)
    np.testing.assert_array_equal(state, h)
    assert ys.shape == (2, 0, 2)
    lengths = np.array([0, 2])
    loss = lambda x: jnp.sum(family.run(params, x, h, lengths=lengths, **how)[1])
    gradient = jax.grad(loss)(x)
    assert np.isfinite(gradient).all() and not np.any(gradient[0])


@every_form
def test_forms_have_the_same_derivatives_at_the_kink(family, implementation):
    """A candidate's pre-activation is zero wherever the input and the bias are."""
    params = jax.tree.map(jnp.zeros_like, as_float32(saturated(family, 1.0)))
    x = jnp.zeros((1, 3, 1))
    loss = lambda params, how: jnp.sum(family.run(params, x, implementation=how)[1])
    gradient = jax.grad(loss)
    jax.tree.map(
        lambda a, e: np.testing.assert_allclose(a, e, rtol=1e-6),
        gradient(params, implementation),
        gradient(params, "scan"),
    )


@every_form
def test_taps_record_every_step(family, implementation, rng):
    params, x = as_float32((draw_params(family, rng), rng.standard_normal((2, 5, 3))))
    how = {"implementation": implementation}
    loss = lambda params: jnp.sum(jnp.sin(family.run(params, x, **how)[1]))
    taps = measure(loss, params).taps
    measured = jaxnets.plan(lambda params: measure(loss, params).taps, params)
    assert measured.implementation == "scan"
    assert set(taps) == {*CELLS[family.name].cell.gates, "h"}
    assert {tap.norm.shape for tap in taps.values()} == {(5,)}
    # At the last step, dL/dh_t comes from the output alone.
    last = np.linalg.norm(np.cos(family.run(params, x)[1][:, -1]))
    np.testing.assert_allclose(taps["h"].norm[-1], last, rtol=1e-5)


@every_cell
def test_plan_and_unsupported_options(family, rng):
    params, x = as_float32((draw_params(family, rng), rng.standard_normal((2, 5, 3))))
    plan = jaxnets.plan(family.run, params, x)
    names = {plan.implementation, *plan.others}
    assert names == set(family.implementations)
    others = jaxnets.plan(family.run, params, x, truncate=2).others
    assert others["associative"] == "does not support `truncate`"
    forced = {"implementation": "associative_log"}
    with pytest.raises(ValueError, match="does not support `clip_cotangent`"):
        family.run(params, x, clip_cotangent=1.0, **forced)
    with pytest.raises(ValueError, match=r"has \d columns; wanted a multiple of"):
        family.run(params._replace(w_xh=params.w_xh[:, 1:]), x)
    with pytest.raises(ValueError, match=r"`state` has shape \(3,\); wanted \(2, 2\)"):
        family.step(params, np.ones(3, np.float32), x[:, 0])
