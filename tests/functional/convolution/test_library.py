import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets.functional.convolution.general import conv


def test_complex_gradients_agree_between_implementations(rng):
    x, kernel = (
        (rng.normal(size=s) + 1j * rng.normal(size=s)).astype(np.complex64)
        for s in ((2, 5, 3), (3, 3, 2))
    )
    results = []
    for name in ("library", "lax"):
        run = lambda x, k, name=name: conv(x, k, strides=2, implementation=name)
        y, pullback = jax.vjp(run, x, kernel)
        results.append((y, *pullback(y)))
    for ours, plain in zip(*results, strict=True):
        np.testing.assert_allclose(ours, plain, rtol=1e-5, atol=1e-5)


LIBRARY_CASES = {
    "plain": ((4, 8, 8, 3), (3, 3, 3, 5), {}),
    "strided": ((4, 8, 8, 3), (3, 3, 3, 5), {"strides": 2}),
    "dilated": ((4, 8, 8, 3), (3, 3, 3, 5), {"kernel_dilation": 2}),
    "input-dilated": ((4, 5, 5, 3), (3, 3, 3, 5), {"input_dilation": 2}),
    "grouped": ((4, 8, 8, 4), (3, 3, 2, 6), {"feature_group_count": 2}),
    "circular": ((4, 8, 8, 3), (3, 3, 3, 5), {"padding_mode": "circular"}),
    "pointwise": ((4, 8, 8, 3), (1, 1, 3, 5), {"implementation": "library"}),
    "causal-1d": ((4, 8, 3), (3, 3, 5), {"padding": "CAUSAL"}),
    "3d": ((2, 4, 4, 4, 3), (3, 3, 3, 3, 5), {}),
    "3d-library": (
        (2, 4, 4, 4, 3),
        (3, 3, 3, 3, 5),
        {"implementation": "library"},
    ),
}


@pytest.mark.parametrize("case", LIBRARY_CASES.values(), ids=LIBRARY_CASES)
def test_gradients_in_a_loop_keep_to_the_library(case):
    """XLA names a convolution `wrapped_convolution` if it becomes a plain loop nest."""
    x_shape, kernel_shape, options = case

    def train(x, kernel):
        def step(kernel, _):
            loss = lambda x, k: jnp.sum(conv(x, k, **options) ** 2)
            dx, dkernel = jax.grad(loss, (0, 1))(x, kernel)
            return kernel - dkernel, jnp.sum(dx)

        return jax.lax.scan(step, kernel, None, length=2)

    x, kernel = jnp.ones(x_shape), jnp.ones(kernel_shape)
    program = jax.jit(train).lower(x, kernel).compile().as_text() or ""
    assert "convolution(" in program
    assert "wrapped_convolution" not in program


@pytest.mark.parametrize("mode", ["forward", "forward over reverse"])
def test_tangents_in_a_loop_keep_to_the_library(mode):
    loss = lambda x, k: jnp.sum(conv(x, k) ** 3)
    slopes = loss if mode == "forward" else jax.grad(loss, (0, 1))

    def steps(x, kernel):
        def step(arrays, _):
            moves = jax.jvp(slopes, arrays, arrays)[1]
            total = jax.tree.reduce(jnp.add, jax.tree.map(jnp.sum, moves))
            return jax.tree.map(lambda a: a + total, arrays), None

        return jax.lax.scan(step, (x, kernel), None, length=2)[0]

    arrays = jnp.ones((4, 8, 8, 3)), jnp.ones((3, 3, 3, 3))
    program = jax.jit(steps).lower(*arrays).compile().as_text() or ""
    assert "convolution(" in program
    assert "wrapped_convolution" not in program


def test_xla_still_names_the_plain_loop_nest():
    def train(x, kernel):
        loss = lambda k: jnp.sum(conv(x, k, implementation="lax") ** 2)
        step = lambda k, _: (k - jax.grad(loss)(k), None)
        return jax.lax.scan(step, kernel, None, length=2)[0]

    arrays = jnp.ones((4, 8, 8, 3)), jnp.ones((3, 3, 3, 5))
    program = jax.jit(train).lower(*arrays).compile().as_text() or ""
    assert "wrapped_convolution" in program


def test_a_constant_operand_costs_no_convolution():
    x, kernel = jnp.ones((4, 8, 8, 3)), jnp.ones((3, 3, 3, 5))
    loss = lambda x, k: jnp.sum(conv(x, k, implementation="library"))
    for argnum in (0, 1):
        program = jax.jit(jax.grad(loss, argnum)).lower(x, kernel).as_text()
        # The value is not computed.
        assert program.count("stablehlo.convolution(") == 1


def test_third_order_and_mixed_modes(rng):
    x = rng.normal(size=(5, 2)).astype(np.float32)
    kernel = rng.normal(size=(3, 2, 2)).astype(np.float32)

    def loss(kernel, name):
        return jnp.sum(conv(x, kernel, implementation=name) ** 3)

    for transform in (
        lambda f: jax.jacfwd(jax.grad(f)),
        lambda f: jax.jacrev(jax.jacfwd(f)),
        lambda f: jax.grad(lambda k: jnp.sum(jax.hessian(f)(k) ** 2)),
    ):
        ours, plain = (
            jax.jit(transform(lambda k, name=name: loss(k, name)))(kernel)
            for name in ("library", "lax")
        )
        np.testing.assert_allclose(ours, plain, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("axes", [(0, 0), (None, 0), (0, None)])
@pytest.mark.parametrize("groups", [1, 2])
def test_gradients_through_vmap_are_those_of_a_loop(axes, groups, rng):
    """Kernels with a batch axis, and gradients, become one grouped convolution."""
    xs = rng.normal(size=(3, 2, 5, 4)).astype(np.float32)
    kernels = rng.normal(size=(3, 3, 4 // groups, 2)).astype(np.float32)
    arguments = [
        a if axis == 0 else a[0] for a, axis in zip((xs, kernels), axes, strict=True)
    ]
    run = lambda x, k: conv(x, k, feature_group_count=groups, strides=2)
    at_once = jax.vmap(run, axes)

    def one_by_one(x, k):
        pick = lambda a, axis, i: a if axis is None else a[i]
        rows = [run(pick(x, axes[0], i), pick(k, axes[1], i)) for i in range(3)]
        return jnp.stack(rows)

    gradients = [
        jax.jit(jax.grad(lambda *a, f=f: jnp.sum(f(*a) ** 3), (0, 1)))(*arguments)
        for f in (at_once, one_by_one)
    ]
    for actual, expected in zip(*gradients, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-3)
