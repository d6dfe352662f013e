"""No derivative of a pool scatters, so every sum has a fixed order."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets import functional as F


X = (1, 8, 8, 2)
ROWS = {
    **{
        f"{name}-{window}-{strides}": (
            functools.partial(
                getattr(F, f"{name}_pool"), window_shape=window, strides=strides
            ),
            X,
        )
        for name in ("max", "sum", "avg", "lp", "logsumexp")
        for window, strides in [(2, 2), (3, 2), (3, 1)]
    },
    **{
        f"max-{name}": (
            functools.partial(
                F.max_pool, window_shape=3, strides=2, implementation=name
            ),
            X,
        )
        for name in ("reduce_window", "winners")
    },
    "max-reflect": (lambda x: F.max_pool(x, 3, padding=1, padding_mode="reflect"), X),
    "lp-inf": (lambda x: F.lp_pool(x, 3, p=np.inf, strides=2), X),
    "max_with_indices": (lambda x: F.max_pool_with_indices(x, 3, strides=2)[0], X),
    "adaptive_max": (lambda x: F.adaptive_max_pool(x, 3), X),
    "adaptive_avg": (lambda x: F.adaptive_avg_pool(x, (3, 13)), X),
    "fractional_max": (
        lambda x: F.fractional_max_pool(x, 2, 5, key=jax.random.key(0)),
        X,
    ),
    "global_max": (F.global_max_pool, X),
    "global_avg": (F.global_avg_pool, X),
    "global_sum": (F.global_sum_pool, X),
}
# In JAX's programs and in XLA's, which turns some scatters into loops on CPUs.
SCATTER = re.compile(r"stablehlo\.(select_and_)?scatter| (select-and-)?scatter\(")


def programs(function, *arguments) -> str:
    """Return the program of a function before and after XLA optimises it.

    And that for GPUs, on which a scatter adds in no fixed order.
    """
    lowered = jax.jit(function).lower(*arguments)
    cuda = jax.jit(function).trace(*arguments).lower(lowering_platforms=("cuda",))
    return f"{lowered.as_text()}\n{lowered.compile().as_text()}\n{cuda.as_text()}"


def second_order(loss):
    """Return Hessian-vector products with x, by three combinations of modes."""

    def products(x):
        gradient = jax.grad(loss)
        along = lambda x: jax.jvp(loss, (x,), (x,))[1]
        return (
            jax.jvp(gradient, (x,), (x,))[1],
            jax.vjp(gradient, x)[1](x),
            jax.grad(along)(x),
        )

    return products


@pytest.mark.parametrize(("function", "shape"), ROWS.values(), ids=ROWS)
def test_the_gradient_scatters_nothing(function, shape):
    gradient = jax.grad(lambda x: jnp.sum(function(x) ** 2))
    assert not SCATTER.search(programs(gradient, jnp.ones(shape)))


@pytest.mark.parametrize(("function", "shape"), ROWS.values(), ids=ROWS)
def test_products_with_the_second_derivative_scatter_nothing(function, shape):
    products = second_order(lambda x: jnp.sum(jnp.sin(function(x))))
    assert not SCATTER.search(jax.jit(products).lower(jnp.ones(shape)).as_text())


def test_a_scatter_would_be_found():
    gathered = lambda x: jnp.sum(jnp.sin(x[jnp.array([0, 0, 1])]))
    assert SCATTER.search(programs(jax.grad(gathered), jnp.ones(4)))
    products = jax.jit(second_order(gathered)).lower(jnp.ones(4)).as_text()
    assert SCATTER.search(products)


def test_unpooling_scatters_integers_forward_and_nothing_back():
    y, indices = jnp.ones((1, 6, 2)), jnp.arange(12).reshape(1, 6, 2)
    unpool = lambda y: F.max_unpool(y, indices, 12)
    text = jax.jit(unpool).lower(y).as_text()
    (scatter,) = re.findall(r"stablehlo\.scatter.*?-> tensor<(\w+)>", text, re.DOTALL)
    assert scatter == "1x12x2xi32"
    pullback = lambda g: jax.vjp(unpool, y)[1](g)
    assert not SCATTER.search(programs(pullback, jnp.ones((1, 12, 2))))
    products = second_order(lambda y: jnp.sum(jnp.sin(unpool(y))))
    text = jax.jit(products).lower(y).as_text()
    scatters = re.findall(r"stablehlo\.scatter.*?-> tensor<(\w+)>", text, re.DOTALL)
    assert set(scatters) == {"1x12x2xi32"}
