"""Every pure function under jit, vmap, grad, jvp, second order, bfloat16 and float64.

`test_jit_changes_nothing` calls functions eagerly, one of each kind. The other tests
compile, since one program takes a fraction of the time of its operations one by one.
A program that several tests of a case need is compiled once, in `FORWARD` or
`GRADIENTS`. The latter is in float64; derivatives in float32 are compared with it.
"""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.functional import cases_distribution, cases_normalization
from tests.functional.convolution import cases as cases_conv
from tests.functional.kinds import KINDS, each_kind
from tests.functional.pooling import cases as cases_pool
from tests.functional.recurrence import cases as cases_recurrent
from tests.functional.sequences import cases as cases_sequences


CASES = [
    *cases_conv.CASES,
    *cases_normalization.CASES,
    *cases_pool.CASES,
    *cases_recurrent.CASES,
    *cases_sequences.CASES,
]
# Which arguments of a case `vmap` maps over; with one argument there is one choice.
MAPPED = [
    pytest.param(case, which, id=f"{case.name}-{which}")
    for case in CASES
    for which in (["all", "first", "last"] if len(case.arrays) > 1 else ["last"])
    if which == "all" or len(case.arrays) == 1 or case.name in KINDS
]
HALF = [
    pytest.param(case, dtype, id=f"{case.name}-{dtype}")
    for case in CASES
    for dtype in ("bfloat16", "float16")
    if dtype != "float16" or case.name in KINDS
]
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def floats(tree):
    leaves = jax.tree.leaves(tree)
    return [leaf for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.floating)]


def objective(case, *arrays):
    """A scalar with a different weight for every output, so that nothing cancels."""
    total = jnp.zeros((), arrays[0].dtype)
    for leaf in floats(case.function(*arrays)):
        weights = np.sin(1.0 + np.arange(leaf.size)).reshape(leaf.shape)
        total += jnp.sum(leaf.astype(total.dtype) * jnp.asarray(weights, total.dtype))
    return total


def value_and_gradients(case):
    argnums = tuple(range(len(case.arrays)))
    return jax.value_and_grad(functools.partial(objective, case), argnums)


def slopes(case, *arrays):
    """Value and gradients in float64, as NumPy arrays."""
    with jax.enable_x64(True):
        found = GRADIENTS[case.name](*(np.asarray(a, np.float64) for a in arrays))
    return jax.tree.map(np.asarray, found)


FORWARD = {case.name: jax.jit(case.function) for case in CASES}
GRADIENTS = {case.name: jax.jit(value_and_gradients(case)) for case in CASES}


def inner_product(left, right):
    return sum(np.vdot(a, b) for a, b in zip(left, right, strict=True))


def assert_close(actual, expected, tolerance):
    for a, e in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        a, e = np.asarray(a, np.float64), np.asarray(e, np.float64)
        np.testing.assert_allclose(a, e, rtol=tolerance, atol=tolerance)


def test_every_name_is_unique():
    assert len(FORWARD) == len(CASES)
    assert {case.name for case in [*CASES, *cases_distribution.CASES]} >= KINDS


@each_kind(CASES)
def test_jit_changes_nothing(case):
    expected = case.function(*case.arrays)
    assert_close(FORWARD[case.name](*case.arrays), expected, 1e-5)


@each_kind(CASES)
def test_gradients_have_programs_under_coming_switches(case, coming_switches):
    """There a `jax.checkpoint` in the rule of a `custom_jvp` has no transpose."""
    with jax.enable_x64(True):
        given = [jax.ShapeDtypeStruct(np.shape(a), np.float64) for a in case.arrays]
        jax.eval_shape(value_and_gradients(case), *given)


def named(*names):
    """Parametrize `case` with a few, since leaks are looked for in all of the memory.

    Without jit each step compiles, which is slow too.
    """
    chosen = [case for case in CASES if case.name in names]
    return pytest.mark.parametrize("case", chosen, ids=lambda case: case.name)


@named("max-pool", "separable", "rnn-in_place", "conv-3d")
def test_gradients_are_the_same_under_coming_switches(case, request):
    expected = slopes(case, *case.arrays)
    request.getfixturevalue("coming_switches")
    with jax.enable_x64(True):
        given = [np.asarray(a, np.float64) for a in case.arrays]
        actual = jax.jit(value_and_gradients(case))(*given)
    assert_close(actual, expected, 1e-9)


@named("min_gru-scan")
def test_no_tracer_leaks(case):
    with jax.checking_leaks():
        jax.eval_shape(value_and_gradients(case), *case.arrays)


@named("rnn-in_place", "min_gru-scan", "separable", "max-unpool")
def test_gradients_without_jit(case):
    with jax.disable_jit():
        actual = value_and_gradients(case)(*case.arrays)
    assert_close(actual, slopes(case, *case.arrays), 1e-4)


@pytest.mark.parametrize(("case", "which"), MAPPED)
def test_vmap_is_a_loop(case, which):
    count = len(case.arrays)
    mapped = {"all": range(count), "first": [0], "last": [count - 1]}[which]
    # Of the last argument alone, the last axis is mapped.
    axis = -1 if which == "last" else 0
    axes = [axis if i in mapped else None for i in range(count)]
    versions = lambda a: [a, 0.5 * a, a + 0.1]
    batched = [
        np.stack(versions(a), axis) if i in mapped else a
        for i, a in enumerate(case.arrays)
    ]
    actual = jax.jit(jax.vmap(case.function, in_axes=axes))(*batched)
    rows = [
        FORWARD[case.name](
            *(versions(a)[row] if i in mapped else a for i, a in enumerate(case.arrays))
        )
        for row in range(3)
    ]
    assert_close(actual, jax.tree.map(lambda *r: np.stack(r), *rows), 1e-5)


@every_case
def test_gradient_is_the_slope(case):
    direction = [np.cos(2.0 + np.arange(a.size)).reshape(a.shape) for a in case.arrays]

    def along(distance):
        pairs = zip(case.arrays, direction, strict=True)
        return slopes(case, *[a + distance * d for a, d in pairs])

    _, gradients = along(0.0)
    (ahead, _), (behind, _) = along(1e-6), along(-1e-6)
    slope = inner_product(gradients, direction)
    np.testing.assert_allclose((ahead - behind) / 2e-6, slope, rtol=1e-5, atol=1e-6)


@every_case
def test_forward_mode_agrees_with_reverse(case):
    function = functools.partial(objective, case)
    if not case.forward_mode:
        # JAX raises inside, outside and between two `jit`; the message is always ours.
        for run, wrap in itertools.product((lambda f: f, jax.jit), repeat=2):
            slope = run(functools.partial(jax.jvp, wrap(function)))
            with pytest.raises(TypeError, match="pass implementation='scan'"):
                slope(case.arrays, case.arrays)
        return
    forward_mode = jax.jit(
        lambda primals, tangents: jax.jvp(function, primals, tangents)
    )
    tangents = tuple(np.asarray(np.cos(a), np.float32) for a in case.arrays)
    value, slope = forward_mode(case.arrays, tangents)
    expected_value, gradients = slopes(case, *case.arrays)
    np.testing.assert_allclose(value, expected_value, rtol=1e-4, atol=1e-4)
    expected = inner_product(gradients, tangents)
    np.testing.assert_allclose(slope, expected, rtol=1e-4, atol=1e-4)


@each_kind(CASES)
def test_second_order_is_the_slope_of_the_gradient(case):
    with jax.enable_x64(True):
        arrays = [np.asarray(a, np.float64) for a in case.arrays]
        direction = [np.cos(3.0 + np.arange(a.size)).reshape(a.shape) for a in arrays]

        @jax.jit
        def compiled(*arrays):
            squared = lambda *arrays: objective(case, *arrays) ** 2
            gradient = jax.grad(squared, tuple(range(len(arrays))))
            gradients, pullback = jax.vjp(gradient, *arrays)
            along = tuple(map(jnp.asarray, direction))
            forward = jax.jvp(gradient, arrays, along)[1]
            return gradients, pullback(along), forward

        run = lambda *arrays: jax.tree.map(np.asarray, compiled(*arrays))
        _, reverse, forward = run(*arrays)
        moved = lambda distance: run(
            *(a + distance * d for a, d in zip(arrays, direction, strict=True))
        )
        ahead, behind = moved(1e-5)[0], moved(-1e-5)[0]
        slopes = [(a - b) / 2e-5 for a, b in zip(ahead, behind, strict=True)]
        scale = max(1.0, *(np.abs(slope).max() for slope in slopes))
        for products in (reverse, forward):
            scaled = [product / scale for product in products]
            assert_close(scaled, [slope / scale for slope in slopes], 1e-5)


@pytest.mark.parametrize(("case", "dtype"), HALF)
def test_half_precision_keeps_its_dtype_and_value(case, dtype):
    arrays = [a.astype(dtype) for a in case.arrays]
    if not case.half_precision:
        with pytest.raises(ValueError, match="float32 and float64 only"):
            FORWARD[case.name](*arrays)
        return
    actual = FORWARD[case.name](*arrays)
    assert {leaf.dtype for leaf in floats(actual)} == {jnp.dtype(dtype)}
    expected = FORWARD[case.name](*[np.asarray(a, np.float32) for a in arrays])
    assert_close(floats(actual), floats(expected), 0.05)


def shared(case):
    """The positions of the arrays that all examples of a batch share."""
    return [i for i in range(len(case.arrays)) if i not in case.batched]


@each_kind([c for c in CASES if c.half_precision and c.batched and shared(c)])
def test_gradients_in_half_precision_are_summed_in_single(case):
    """In bfloat16 a sum stops growing once it is 256 times the next summand."""
    copies, argnums = 512, shared(case)

    def total(*arrays, copies=1):
        arrays = list(arrays)
        for i, axis in case.batched.items():
            arrays[i] = jnp.repeat(arrays[i], copies, axis)
        examples = {k: np.repeat(v, copies, 0) for k, v in case.examples.items()}
        leaves = floats(case.function(*arrays, **examples))
        return sum(jnp.sum(leaf.astype(jnp.float32)) for leaf in leaves)

    of_one = jax.jit(jax.grad(total, argnums))(*case.arrays)
    many = jax.jit(jax.grad(functools.partial(total, copies=copies), argnums))
    rounded = [jnp.asarray(a, jnp.bfloat16) for a in case.arrays]
    for actual, one in zip(many(*rounded), of_one, strict=True):
        actual, expected = np.asarray(actual, np.float32), copies * np.asarray(one)
        np.testing.assert_allclose(actual, expected, atol=0.06 * abs(expected).max())


@every_case
def test_float64_keeps_its_dtype(case):
    with jax.enable_x64(True):
        actual = FORWARD[case.name](*[np.asarray(a, np.float64) for a in case.arrays])
        assert {leaf.dtype for leaf in floats(actual)} == {jnp.dtype("float64")}
    assert_close(floats(actual), floats(FORWARD[case.name](*case.arrays)), 1e-4)


@each_kind(CASES)
def test_scan_over_calls_keeps_value_and_gradient(case):
    def twice(*arrays):
        def body(total, scale):
            scaled = [a * scale for a in arrays]
            return total + objective(case, *scaled), None

        start = jnp.zeros((), arrays[0].dtype)
        return jax.lax.scan(body, start, jnp.asarray([1.0, 0.5], start.dtype))[0]

    argnums = tuple(range(len(case.arrays)))
    actual = jax.jit(jax.value_and_grad(twice, argnums))(*case.arrays)
    value, gradients = slopes(case, *case.arrays)
    # The gradient of f(a) + f(a / 2) is f'(a) + f'(a / 2) / 2.
    half_value, half_gradients = slopes(case, *(0.5 * a for a in case.arrays))
    pairs = zip(gradients, half_gradients, strict=True)
    expected = value + half_value, tuple(g + 0.5 * h for g, h in pairs)
    assert_close(actual, expected, 1e-4)
