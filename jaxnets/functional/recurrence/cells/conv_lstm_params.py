"""The parameters of the convolutional LSTM, and their initial values."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxnets.arguments import as_array, list_or_none
from jaxnets.functional.recurrence.initializers import (
    Initializer,
    check_init,
    check_sizes,
    init_gates,
    input_default,
    recurrent_default,
)
from jaxnets.typing import ArrayLike, Key


class ConvLSTMParams(NamedTuple):
    """Weights of a convolutional LSTM, output channels in the order i, f, g, o.

    Attributes:
        w_xh: Kernel of the input `(*window, D, 4*H)`.
        w_hh: Kernel of the state h `(*recurrent_window, H, 4*H)`.
        b: Biases `(4*H,)`.
        peephole: Weights from the memory cell to i, f and o, in this order,
            `(3, *spatial, H)`. Along a spatial axis of size 1, all positions share one
            weight. None means no peepholes.

    Example:
        >>> import jax
        >>> from jaxnets.functional import init_conv_lstm
        >>> params = init_conv_lstm(jax.random.key(0), 2, 5, (3, 3))
        >>> params.w_xh.shape, params.w_hh.shape, params.b.shape
        ((3, 3, 2, 20), (3, 3, 5, 20), (20,))
    """

    w_xh: ArrayLike
    w_hh: ArrayLike
    b: ArrayLike
    peephole: ArrayLike | None = None


def init_conv_lstm(
    key: Key,
    in_features: int,
    hidden: int,
    kernel_size: Sequence[int],
    *,
    recurrent_kernel_size: Sequence[int] | None = None,
    forget_bias: float = 1.0,
    peephole_shape: Sequence[int] | None = None,
    input_init: Initializer = input_default,
    recurrent_init: Initializer = recurrent_default,
    dtype: DTypeLike = jnp.float32,
) -> ConvLSTMParams:
    """Draw the weights of `conv_lstm`, with the same initialisers as `init_lstm`.

    Args:
        key: Random key.
        in_features: D, channels of the input.
        hidden: H, channels of the state.
        kernel_size: Window of the input's kernel, one int for each spatial axis.
        recurrent_kernel_size: Window of the state's kernel; None is `kernel_size`.
        forget_bias: Initial bias of the forget gate.
        peephole_shape: Spatial shape of the peepholes: the one of the input for a
            weight at every position, ones for weights that all positions share; None
            means no peepholes. These weights start at zero.
        input_init: Initialiser of the `(*window, D, H)` kernel of each gate; by default
            a truncated normal distribution with variance 1/fan_in.
        recurrent_init: Initialiser of the `(*window, H, H)` kernel of each gate; by
            default orthogonal, as a matrix of H columns.
        dtype: Dtype of the weights.

    Returns:
        `ConvLSTMParams`, with zero biases except for the forget gate.

    Raises:
        ValueError: If a size is below 1, windows differ in their number of axes, or
            `dtype` is not floating point.
        TypeError: If an argument has the wrong type.

    Example:
        >>> import jax
        >>> from jaxnets.functional import init_conv_lstm
        >>> key = jax.random.key(0)
        >>> init_conv_lstm(key, 2, 5, (3, 3), peephole_shape=(8, 9)).peephole.shape
        (3, 8, 9, 5)

    Source: Shi et al. 2015, "Convolutional LSTM Network: A Machine Learning Approach
    for Precipitation Nowcasting". Keras's `ConvLSTM2D` draws the kernel of the input
    with another variance, and one orthogonal matrix for all gates.
    """
    for name, sizes in (
        ("kernel_size", kernel_size),
        ("recurrent_kernel_size", recurrent_kernel_size),
    ):
        if sizes is not None and list_or_none(sizes) is None:
            raise TypeError(
                f"`{name}` is {sizes!r}; wanted one int for each spatial axis, such as "
                "(3, 3)."
            )
    window = tuple(kernel_size)
    h_window = window if recurrent_kernel_size is None else tuple(recurrent_kernel_size)
    if len(h_window) != len(window):
        raise ValueError(
            f"`recurrent_kernel_size` is {h_window}; wanted {len(window)} sizes, as in "
            f"`kernel_size` = {window}."
        )
    initialisers = {"input_init": input_init, "recurrent_init": recurrent_init}
    check_init(key, dtype, initialisers, in_features=in_features, hidden=hidden)
    for size in itertools.chain(window, h_window):
        check_sizes(kernel_size=size)
    input_key, recurrent_key = jax.random.split(key)
    kernel = lambda init, key, shape: init_gates(init, key, (*shape, hidden), 4, dtype)
    b = jnp.zeros((4, hidden), dtype).at[1].set(as_array(forget_bias, "forget_bias"))
    peephole = None
    if peephole_shape is not None:
        peephole = jnp.zeros((3, *peephole_shape, hidden), dtype)
    return ConvLSTMParams(
        w_xh=kernel(input_init, input_key, (*window, in_features)),
        w_hh=kernel(recurrent_init, recurrent_key, (*h_window, hidden)),
        b=b.reshape(-1),
        peephole=peephole,
    )
