"""The weights of a convolutional LSTM, and how they start."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxnets.functional.recurrence.arguments import check_shape
from jaxnets.functional.recurrence.initializers import (
    Initializer,
    check_init,
    check_sizes,
    input_default,
    recurrent_default,
)
from jaxnets.functional.shared.arguments import list_or_none
from jaxnets.typing import ArrayLike, Key


class ConvLSTMParams(NamedTuple):
    """Weights of a convolutional LSTM, output channels in the order i, f, g, o.

    Attributes:
        w_xh: Kernel of the input `(*window, D, 4*H)`.
        w_hh: Kernel of the last h `(*recurrent_window, H, 4*H)`.
        b: `(4*H,)`.
        peephole: `(3, *spatial, H)` in the order i, f, o, a weight for every place; a
            spatial axis of size 1 is one weight for all places. None is none.

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
    """Draw the weights of `conv_lstm`, by the rules of `init_lstm`.

    Args:
        key: Random key.
        in_features: D, channels of the input.
        hidden: H, channels of the state.
        kernel_size: Window that the input is seen through, one int an axis.
        recurrent_kernel_size: Window that h is seen through; None is `kernel_size`.
        forget_bias: Bias of f.
        peephole_shape: Spatial shape of the peepholes: that of the input for a weight
            at every place, ones for weights that all places share; None is no
            peepholes. These weights start at zero.
        input_init: Rule for each gate's `(*window, D, H)` kernel; by default normal
            with variance 1/fan_in, truncated.
        recurrent_init: Rule for each gate's `(*window, H, H)` kernel; by default
            orthogonal, taken as a matrix of H columns.
        dtype: Dtype of the weights.

    Returns:
        `ConvLSTMParams` with zero biases but for the forget gate.

    Raises:
        ValueError: If a size is below 1, windows differ in their number of axes, or
            `dtype` is not floating point.
        TypeError: If an argument is of the wrong kind.

    Example:
        >>> import jax
        >>> from jaxnets.functional import init_conv_lstm
        >>> key = jax.random.key(0)
        >>> init_conv_lstm(key, 2, 5, (3, 3), peephole_shape=(8, 9)).peephole.shape
        (3, 8, 9, 5)

    Source: Shi et al. 2015, "Convolutional LSTM Network: A Machine Learning Approach
    for Precipitation Nowcasting". Keras's `ConvLSTM2D` starts alike but for the
    variance of the input's kernel, and draws one matrix for all gates.
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
    again = window if recurrent_kernel_size is None else tuple(recurrent_kernel_size)
    if len(again) != len(window):
        raise ValueError(
            f"`recurrent_kernel_size` is {again}; wanted {len(window)} sizes, as "
            f"`kernel_size` = {window} has."
        )
    rules = {"input_init": input_init, "recurrent_init": recurrent_init}
    check_init(key, dtype, rules, in_features=in_features, hidden=hidden)
    for size in itertools.chain(window, again):
        check_sizes(kernel_size=size)
    input_key, recurrent_key = jax.random.split(key)
    kernel = lambda init, key, shape: jnp.concatenate(
        [init(k, (*shape, hidden), dtype) for k in jax.random.split(key, 4)], axis=-1
    )
    peephole = None
    if peephole_shape is not None:
        peephole = jnp.zeros((3, *peephole_shape, hidden), dtype)
    return ConvLSTMParams(
        w_xh=kernel(input_init, input_key, (*window, in_features)),
        w_hh=kernel(recurrent_init, recurrent_key, (*again, hidden)),
        b=jnp.zeros((4, hidden), dtype).at[1].set(forget_bias).reshape(-1),
        peephole=peephole,
    )


def check_conv_lstm(params: ConvLSTMParams, spatial: tuple[int, ...]) -> int:
    """Check the shapes of the weights for maps of a spatial shape; return H."""
    ndim = jnp.ndim(params.w_xh)
    if ndim < 3 or jnp.ndim(params.w_hh) != ndim:
        raise ValueError(
            f"`params.w_xh` has shape {jnp.shape(params.w_xh)} and `params.w_hh` "
            f"{jnp.shape(params.w_hh)}; wanted (*window, D, 4*H) and (*window, H, "
            "4*H), with as many axes of the window in both."
        )
    *_, hidden, columns = jnp.shape(params.w_hh)
    if columns != 4 * hidden or jnp.shape(params.w_xh)[-1] != columns:
        raise ValueError(
            f"`params.w_hh` has shape {jnp.shape(params.w_hh)} and `params.w_xh` "
            f"{jnp.shape(params.w_xh)}; wanted 4*H output channels in both, for i, f, "
            f"g and o, with H = {hidden} input channels of `params.w_hh`."
        )
    check_shape("params.b", params.b, (columns,), "one bias for each channel")
    if params.peephole is not None:
        shape = jnp.shape(params.peephole)
        shared = tuple(
            1 if size == 1 else wanted
            for size, wanted in zip(shape[1:-1], spatial, strict=False)
        )
        if shape != (3, *shared, hidden) or len(shared) != len(spatial):
            raise ValueError(
                f"`params.peephole` has shape {shape}; wanted {(3, *spatial, hidden)}, "
                "one weight of i, f and o for each place and channel, or 1 in the "
                "place of a spatial axis."
            )
    return hidden
