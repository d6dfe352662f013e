"""The errors of max, sum and average pooling, which name the argument."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets.functional.pooling.window import avg_pool, max_pool, sum_pool


POOLS = {"max": max_pool, "sum": sum_pool, "avg": avg_pool}


def test_names_force_and_others_raise():
    x = jnp.ones((1, 4, 4, 1))
    np.testing.assert_array_equal(
        sum_pool(x, 2, implementation="reshape"),
        sum_pool(x, 2, implementation="reduce_window"),
    )
    with pytest.raises(ValueError, match=r"`implementation` is 'fast'; wanted None"):
        max_pool(x, 2, implementation="fast")
    with pytest.raises(ValueError, match="cannot run here: windows overlap"):
        avg_pool(x, 2, strides=1, implementation="reshape")


@pytest.mark.parametrize("pool", POOLS.values(), ids=POOLS)
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (dict(window_shape=(2, 2, 2, 2)), ValueError, r"`x` has shape \(1, 4, 4, 1\)"),
        (dict(window_shape=(2, 0)), ValueError, r"`window_shape` is \(2, 0\)"),
        (dict(window_shape=2.5), TypeError, r"`window_shape` is 2.5"),
        (dict(window_shape=((2, 2), (2, 2))), TypeError, r"`window_shape` is \(\(2"),
        (dict(window_shape=((1, 2), (3,))), TypeError, r"`window_shape` is \(\(1"),
        (dict(window_shape=()), ValueError, r"`window_shape` is \(\)"),
        (dict(window_shape=2, strides=0), ValueError, "`strides` is 0"),
        (dict(window_shape=2, strides=(1, 2, 3)), ValueError, "`strides` is .*length"),
        (dict(window_shape=2, padding="same"), ValueError, "`padding` is 'same'"),
        (dict(window_shape=2, padding="CAUSAL"), ValueError, "`padding` is 'CAUSAL'"),
        (dict(window_shape=2, padding_mode="wrap"), ValueError, "`padding_mode` is"),
        (dict(window_shape=2, window_dilation=0), ValueError, "`window_dilation` is 0"),
        (dict(window_shape=5), ValueError, "5 elements of spatial axis 0"),
        (
            dict(window_shape=6, strides=1, ceil_mode=True),
            ValueError,
            r"`ceil_mode` leaves \(-1, -1\) windows",
        ),
    ],
)
def test_errors_name_the_argument(pool, options, error, message):
    with pytest.raises(error, match=message):
        pool(jnp.ones((1, 4, 4, 1)), **options)


def test_errors_of_an_unknown_padding_mode_without_counting_pads():
    with pytest.raises(ValueError, match="`padding_mode` is 'wrap'"):
        avg_pool(jnp.ones((4, 1)), (2,), padding_mode="wrap", count_include_pad=False)


def test_errors_of_dtypes_and_divisors():
    x = jnp.ones((4, 1))
    with pytest.raises(TypeError, match=r"complex64; wanted real numbers"):
        max_pool(x.astype(jnp.complex64), (2,))
    with pytest.raises(TypeError, match=r"`x` has dtype bool; wanted numbers"):
        sum_pool(x > 0, (2,))
    with pytest.raises(TypeError, match=r"int32, which cannot represent averages"):
        avg_pool(x.astype(jnp.int32), (2,))
    for number in (0, math.nan):
        with pytest.raises(ValueError, match=f"`divisor` is {number}; wanted None"):
            avg_pool(x, (2,), divisor=number)
    with pytest.raises(TypeError, match=r"`divisor` is 'two'"):
        avg_pool(x, (2,), divisor="two")  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match=r"`divisor` is .*complex64"):
        avg_pool(x, (2,), divisor=np.complex64(2))  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"pass a sequence if `x` has no"):
        max_pool(x, 2)
