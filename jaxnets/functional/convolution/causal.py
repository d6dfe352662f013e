"""Causal convolution over time, with a state for input that arrives in chunks."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Shaped

from jaxnets.arguments import as_array, as_count, as_optional_array
from jaxnets.functional.convolution.general import conv
from jaxnets.functional.shared.dtypes import promoted_dtype
from jaxnets.functional.shared.windows import padded
from jaxnets.typing import ArrayLike


def causal_conv(
    x: Shaped[ArrayLike, "..."],
    kernel: Shaped[ArrayLike, "..."],
    bias: Shaped[ArrayLike, "..."] | None = None,
    *,
    state: Shaped[ArrayLike, "..."] | None = None,
    kernel_dilation: int = 1,
    feature_group_count: int = 1,
    precision: jax.lax.PrecisionLike = None,
    implementation: str | None = None,
) -> tuple[Shaped[Array, "..."], Shaped[Array, "..."]]:
    """Convolve a chunk of a sequence so that no output depends on a later input.

    With window k and dilation d, and `h` the state followed by the inputs:

        y[b, t, o] = bias[o] + sum over i < k and c of
                     h[b, t + d * i, c] * kernel[i, c, o]

    and the new state is the last `d * (k - 1)` elements of `h`. Calls on successive
    chunks of any lengths, each with the state that the call before returned, compute
    the same as one call on the whole sequence. With an initial state of zeros the
    result is that of `conv` with padding "CAUSAL".

    Args:
        x: `(*batch, T, C)`, with any number of batch axes; T may be 0.
        kernel: `(k, C // feature_group_count, F)`.
        bias: `(F,)`.
        state: `(*batch, d * (k - 1), C)`, the inputs before `x`; None for zeros.
        kernel_dilation: d, the distance in time between elements of the window.
        feature_group_count: As in `conv`.
        precision: As in `jax.lax.conv_general_dilated`.
        implementation: As in `conv`.

    Returns:
        `(state, y)`, in the order of a `jax.lax.scan` body: the state after `x`, and
        `y (*batch, T, F)`, both in the promoted dtype of the arguments. If that is an
        integer of fewer than 32 bits, `y` has 32.

    Raises:
        TypeError: If an option has the wrong type, or an array does not hold numbers.
        ValueError: If shapes and options are inconsistent.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import causal_conv
        >>> x = jnp.arange(5.0)[:, None]
        >>> kernel = jnp.array([1.0, 10.0])[:, None, None]
        >>> state, first = causal_conv(x[:2], kernel)
        >>> state, second = causal_conv(x[2:], kernel, state=state)
        >>> jnp.concatenate([first, second]).ravel()
        Array([ 0., 10., 21., 32., 43.], dtype=float32)

    Source: van den Oord et al. 2016, "WaveNet: A Generative Model for Raw Audio",
    section 2.1. Flax and Keras have padding "CAUSAL" without the state, PyTorch has
    neither; ONNX has the operator CausalConvWithState.
    """
    x, kernel = as_array(x, "x"), as_array(kernel, "kernel")
    bias, state = as_optional_array(bias, "bias"), as_optional_array(state, "state")
    shape = kernel.shape
    if len(shape) != 3 or x.ndim < 2:
        raise ValueError(
            f"`kernel` has shape {shape} and `x` {x.shape}; wanted (window, "
            "channels // feature_group_count, features) and (*batch, time, channels): "
            "one spatial axis, which is time."
        )
    dilation = as_count(kernel_dilation, "kernel_dilation")
    dtype = promoted_dtype(x, kernel, bias, state)
    x = x.astype(dtype)
    *batch, _, channels = x.shape
    wanted = (*batch, dilation * max(shape[0] - 1, 0), channels)
    if state is not None and state.shape != wanted:
        raise ValueError(
            f"`state` has shape {state.shape}; wanted {wanted}, the last "
            "kernel_dilation * (window - 1) inputs. None starts from zeros."
        )
    if state is None:
        inputs = padded(x, ((wanted[-2], 0),), "zeros")
    else:
        inputs = jnp.concatenate([state.astype(dtype), x], axis=-2)
    # The state replaces the padding, except that a window does not fit an empty `x`.
    padding = ((0, 0),) if x.shape[-2] else ((0, 1),)
    y = conv(
        inputs,
        kernel,
        bias,
        padding=padding,
        kernel_dilation=dilation,
        feature_group_count=feature_group_count,
        precision=precision,
        implementation=implementation,
    )
    return inputs[..., x.shape[-2] :, :], y[..., : x.shape[-2], :]
