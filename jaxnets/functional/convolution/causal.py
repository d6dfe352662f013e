"""Causal convolution over time, whose state carries it from chunk to chunk."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Shaped

from jaxnets.functional.convolution.general import conv
from jaxnets.functional.shared.arguments import as_array, as_count, as_optional_array
from jaxnets.functional.shared.dtypes import promoted_dtype
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
    """Convolve over time so that no output sees a later input, chunk by chunk.

    With k taps and dilation d, `h` the state and the inputs one after the other:

        y[b, t, o] = bias[o] + sum over i < k and c of
                     h[b, t + d * i, c] * kernel[i, c, o]

    and the new state is the last `d * (k - 1)` elements of `h`. So chunks of any
    length, each with the state that the one before returned, give what the whole
    sequence gives. From the zero state it is `conv` with padding "CAUSAL".

    Args:
        x: `(*batch, T, C)`; any number of batch axes, also none; T may be 0.
        kernel: `(k, C // feature_group_count, F)`.
        bias: `(F,)`.
        state: `(*batch, d * (k - 1), C)`, the inputs before `x`; None for zeros.
        kernel_dilation: d, distance of the taps in time.
        feature_group_count: As in `conv`.
        precision: As in `jax.lax.conv_general_dilated`.
        implementation: As in `conv`.

    Returns:
        The state after `x`, and `y (*batch, T, F)`, both in the promoted dtype of the
        arguments: the order of a `jax.lax.scan` body.

    Raises:
        TypeError: If an option has the wrong type, or an array holds no numbers.
        ValueError: If shapes and options do not fit together.

    Example:
        >>> import jax.numpy as jnp
        >>> x = jnp.arange(5.0)[:, None]
        >>> kernel = jnp.array([1.0, 10.0])[:, None, None]
        >>> state, first = causal_conv(x[:2], kernel)
        >>> state, second = causal_conv(x[2:], kernel, state=state)
        >>> jnp.concatenate([first, second]).ravel()
        Array([ 0., 10., 21., 32., 43.], dtype=float32)

    Source: van den Oord et al. 2016, "WaveNet: A Generative Model for Raw Audio",
    section 2.1. Flax and Keras have padding "CAUSAL" without the state, PyTorch
    neither; ONNX has it as CausalConvWithState.
    """
    x, kernel = as_array(x, "x"), as_array(kernel, "kernel")
    bias, state = as_optional_array(bias, "bias"), as_optional_array(state, "state")
    shape = kernel.shape
    if len(shape) != 3 or x.ndim < 2:
        raise ValueError(
            f"`kernel` has shape {shape} and `x` {x.shape}; wanted (taps, "
            "channels // feature_group_count, features) and (*batch, time, channels): "
            "one spatial axis, which is time."
        )
    dilation = as_count(kernel_dilation, "kernel_dilation")
    dtype = promoted_dtype(x, kernel, bias, state)
    x = x.astype(dtype)
    *batch, _, channels = x.shape
    wanted = (*batch, dilation * max(shape[0] - 1, 0), channels)
    if state is None:
        state = jnp.zeros(wanted, dtype)
    if state.shape != wanted:
        raise ValueError(
            f"`state` has shape {state.shape}; wanted {wanted}, the last "
            "kernel_dilation * (taps - 1) inputs. None starts from zeros."
        )
    inputs = jnp.concatenate([state.astype(dtype), x], axis=-2)
    # The padding is at hand as the state, and an empty `x` has no place for a window.
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
