"""Pools and convolutions exported with symbolic spatial sizes, and the errors."""

import functools

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets import functional as F


KERNEL = np.ones((3, 3, 2, 2), np.float32)
DEPTHWISE = np.ones((3, 3, 2, 1), np.float32)
strided = {"strides": 2, "padding": "SAME"}
EXPORTED = {
    "conv": lambda x: F.conv(x, KERNEL, strides=2),
    "conv-circular": lambda x: F.conv(x, KERNEL, padding_mode="circular"),
    "conv-replicate": lambda x: F.conv(x, KERNEL, padding_mode="replicate"),
    "depthwise": lambda x: F.depthwise_conv(x, DEPTHWISE),
    "transpose": lambda x: F.conv_transpose(x, KERNEL, strides=2),
    "unfold": lambda x: F.unfold(x, 3, padding="SAME"),
    "max": lambda x: F.max_pool(x, 3, **strided),
    "max-ceil": lambda x: F.max_pool(x, 2, ceil_mode=True, implementation="shifts"),
    "indices": lambda x: F.max_pool_with_indices(x, 3, **strided),
    "avg": lambda x: F.avg_pool(x, 3, **strided, count_include_pad=False),
    "sum": lambda x: F.sum_pool(x, 2, implementation="reshape"),
    "logsumexp": lambda x: F.logsumexp_pool(x, 3, **strided),
    "global": F.global_max_pool,
    "adaptive": lambda x: F.adaptive_avg_pool(x, (1, None)),
}
NUMBERS = {
    "adaptive": lambda x: F.adaptive_max_pool(x, 2),
    "fractional": lambda x: F.fractional_max_pool(x, 2, 2, key=jax.random.key(0)),
    "unpool": lambda x: F.max_unpool(x, jnp.zeros(x.shape, int), x.shape[1:3]),
}


def export(function, shape, constraints=()):
    symbols = jax.export.symbolic_shape(shape, constraints=constraints)
    array = jax.ShapeDtypeStruct(symbols, np.float32)
    return jax.export.export(jax.jit(function))(array)


@pytest.mark.parametrize("function", EXPORTED.values(), ids=EXPORTED)
def test_one_program_serves_all_sizes(function, rng):
    def value_and_gradient(x):
        loss = lambda x: sum(jnp.sin(y).sum() for y in jax.tree.leaves(function(x))[:1])
        return function(x), jax.grad(loss)(x)

    exported = export(value_and_gradient, "b, h, w, 2")
    for shape in ((2, 5, 6, 2), (1, 4, 3, 2)):
        x = rng.normal(size=shape).astype(np.float32)
        pairs = zip(
            jax.tree.leaves(exported.call(x)),
            jax.tree.leaves(jax.jit(value_and_gradient)(x)),
            strict=True,
        )
        for actual, expected in pairs:
            np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("function", NUMBERS.values(), ids=NUMBERS)
def test_the_error_names_the_axis_that_must_be_a_number(function):
    with pytest.raises(ValueError, match="symbolic size h on spatial axis 0; wanted a"):
        export(function, "b, h, w, 2")


@pytest.mark.parametrize("implementation", [None, "shifts"])
def test_the_number_of_channels_may_be_symbolic(implementation, rng):
    pool = functools.partial(F.max_pool, window_shape=5, implementation=implementation)
    x = rng.normal(size=(1, 5, 5, 3)).astype(np.float32)
    found = export(pool, "b, 5, 5, c").call(x)
    np.testing.assert_array_equal(found, x.max((1, 2), keepdims=True))


def test_a_mode_that_needs_elements_names_the_constraint():
    reflect = functools.partial(F.conv, kernel=KERNEL, padding_mode="reflect")
    with pytest.raises(ValueError, match=r"constraints=\['h >= 2'\]"):
        export(reflect, "b, h, 8, 2")
    assert export(reflect, "b, h, 8, 2", ["h >= 2"]).out_avals[0].ndim == 4
