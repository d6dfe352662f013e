"""Every pure function under jit, vmap, grad, jvp, second order, bfloat16 and float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.functional import cases_conv, cases_pool, cases_recurrent


CASES = [*cases_conv.CASES, *cases_pool.CASES, *cases_recurrent.CASES]
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def floats(tree):
    leaves = jax.tree.leaves(tree)
    return [leaf for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.floating)]


def objective(case, *arrays):
    """A scalar with a different weight on every output, so no gradient hides."""
    total = jnp.zeros((), arrays[0].dtype)
    for leaf in floats(case.function(*arrays)):
        weights = np.sin(1.0 + np.arange(leaf.size)).reshape(leaf.shape)
        total += jnp.sum(leaf.astype(total.dtype) * jnp.asarray(weights, total.dtype))
    return total


def assert_close(actual, expected, tolerance):
    for a, e in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        a, e = np.asarray(a, np.float64), np.asarray(e, np.float64)
        np.testing.assert_allclose(a, e, rtol=tolerance, atol=tolerance)


@every_case
def test_jit_changes_nothing(case):
    expected = case.function(*case.arrays)
    assert_close(jax.jit(case.function)(*case.arrays), expected, 1e-5)


@every_case
@pytest.mark.parametrize("everything", [True, False], ids=["all", "first"])
def test_vmap_is_a_loop(case, everything):
    count = len(case.arrays) if everything else 1
    batched = [np.stack([a, 0.5 * a, a + 0.1]) for a in case.arrays[:count]]
    fixed = case.arrays[count:]
    axes = (0,) * count + (None,) * len(fixed)
    actual = jax.vmap(case.function, in_axes=axes)(*batched, *fixed)
    rows = [case.function(*[b[i] for b in batched], *fixed) for i in range(3)]
    assert_close(actual, jax.tree.map(lambda *r: np.stack(r), *rows), 1e-5)


@every_case
def test_gradient_is_the_slope(case):
    with jax.enable_x64(True):
        arrays = [np.asarray(a, np.float64) for a in case.arrays]
        gradients = jax.grad(
            functools.partial(objective, case), argnums=tuple(range(len(arrays)))
        )(*arrays)
        direction = [np.cos(2.0 + np.arange(a.size)).reshape(a.shape) for a in arrays]
        ahead, behind = (
            objective(
                case, *[a + s * d for a, d in zip(arrays, direction, strict=True)]
            )
            for s in (1e-6, -1e-6)
        )
        slope = sum(np.vdot(g, d) for g, d in zip(gradients, direction, strict=True))
        np.testing.assert_allclose((ahead - behind) / 2e-6, slope, rtol=1e-5, atol=1e-6)


@every_case
def test_forward_mode_agrees_with_reverse(case):
    if not case.forward_mode:
        with pytest.raises(TypeError):
            jax.jvp(functools.partial(objective, case), case.arrays, case.arrays)
        return
    function = functools.partial(objective, case)
    tangents = tuple(np.asarray(np.cos(a), np.float32) for a in case.arrays)
    _, slope = jax.jvp(function, case.arrays, tangents)
    gradients = jax.grad(function, argnums=tuple(range(len(tangents))))(*case.arrays)
    expected = sum(np.vdot(g, t) for g, t in zip(gradients, tangents, strict=True))
    np.testing.assert_allclose(slope, expected, rtol=1e-4, atol=1e-4)


@every_case
def test_second_order_is_the_slope_of_the_gradient(case):
    with jax.enable_x64(True):
        x, *rest = (np.asarray(a, np.float64) for a in case.arrays)
        gradient = jax.grad(lambda x: objective(case, x, *rest) ** 2)
        direction = np.cos(3.0 + np.arange(x.size)).reshape(x.shape)
        _, pullback = jax.vjp(gradient, jnp.asarray(x))
        (product,) = pullback(jnp.asarray(direction))
        ahead, behind = gradient(x + 1e-5 * direction), gradient(x - 1e-5 * direction)
        slope = (np.asarray(ahead) - np.asarray(behind)) / 2e-5
        scale = max(1.0, np.abs(slope).max())
        np.testing.assert_allclose(product / scale, slope / scale, atol=1e-5)


@every_case
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16], ids=["bf16", "f16"])
def test_half_precision_keeps_its_dtype_and_value(case, dtype):
    arrays = [jnp.asarray(a, dtype) for a in case.arrays]
    actual = case.function(*arrays)
    assert {leaf.dtype for leaf in floats(actual)} == {jnp.dtype(dtype)}
    expected = case.function(*[np.asarray(a, np.float32) for a in arrays])
    assert_close(floats(actual), floats(expected), 0.05)


@every_case
def test_float64_keeps_its_dtype(case):
    with jax.enable_x64(True):
        actual = case.function(*[np.asarray(a, np.float64) for a in case.arrays])
        assert {leaf.dtype for leaf in floats(actual)} == {jnp.dtype("float64")}
    assert_close(floats(actual), floats(case.function(*case.arrays)), 1e-4)


@every_case
def test_scan_over_calls_keeps_value_and_gradient(case):
    def twice(*arrays):
        def body(total, scale):
            scaled = [a * scale for a in arrays]
            return total + objective(case, *scaled), None

        start = jnp.zeros((), arrays[0].dtype)
        return jax.lax.scan(body, start, jnp.asarray([1.0, 0.5], start.dtype))[0]

    def plainly(*arrays):
        halves = [a * arrays[0].dtype.type(0.5) for a in arrays]
        return objective(case, *arrays) + objective(case, *halves)

    argnums = tuple(range(len(case.arrays)))
    actual = jax.value_and_grad(twice, argnums)(*case.arrays)
    expected = jax.value_and_grad(plainly, argnums)(*case.arrays)
    assert_close(actual, expected, 1e-4)
