"""The convolutional LSTM as a Flax NNX module."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from flax.nnx import initializers
from jaxtyping import Array, Inexact, Shaped

from jaxnets import functional as F
from jaxnets.functional.recurrence.arguments import check_callables
from jaxnets.nn.module import Module
from jaxnets.nn.options import check_optional_name, stream
from jaxnets.nn.parameters import (
    as_float_or_none,
    cast,
    check_counts,
    drawn_weights,
    value_or_none,
    window_of,
)
from jaxnets.nn.recurrent.layer import Activation
from jaxnets.tap import scope
from jaxnets.typing import ArrayLike


class ConvLSTM(Module):
    """A convolutional LSTM: `jaxnets.functional.conv_lstm` with its weights.

    Args:
        in_features: D, channels of the input.
        hidden: H, channels of the state.
        kernel_size: Window of the input's kernel, one int for each spatial axis, such
            as `(3, 3)`.
        recurrent_kernel_size: Window of the state's kernel; None is `kernel_size`.
        activation: Activation of the candidate g, and of the memory cell in the output.
        gate_activation: Activation of the gates i, f and o.
        forget_bias: Initial bias of the forget gate.
        peephole_shape: Spatial shape of the peepholes: the one of the input as in the
            paper, or `(1, 1)` for weights that all positions share; None means no
            peepholes.
        input_init: Initialiser of the kernel of each gate in `w_xh`.
        recurrent_init: Initialiser of the kernel of each gate in `w_hh`.
        dtype: Dtype of the computation; None promotes those of input and weights.
        param_dtype: Dtype of the weights.
        name: Scope of its taps.
        rngs: Source of randomness, with the stream `params`.

    Attributes:
        w_xh: `(*kernel_size, D, 4*H)`.
        w_hh: `(*recurrent_kernel_size, H, 4*H)`.
        b: `(4*H,)`.
        peephole: `(3, *peephole_shape, H)`, or None.

    Raises:
        TypeError: If a kernel size is a single int, which does not determine the rank.
        ValueError: If a size is below 1, or the two kernel sizes differ in their
            number of axes.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnets import nn
        >>> layer = nn.ConvLSTM(1, 4, (3, 3), rngs=nnx.Rngs(0))
        >>> state, ys = layer(jnp.ones((2, 5, 8, 8, 1)))  # batch, time, height, width
        >>> state.h.shape, ys.shape
        ((2, 8, 8, 4), (2, 5, 8, 8, 4))

    Source: Shi et al. 2015, "Convolutional LSTM Network: A Machine Learning Approach
    for Precipitation Nowcasting". In contrast to `flax.linen.ConvLSTMCell`, it is both
    the cell and its scan, it supports peepholes, and its forget bias starts at 1.
    `flax.nnx` has no such cell.
    """

    w_xh: nnx.Param
    w_hh: nnx.Param
    b: nnx.Param
    peephole: nnx.Param | None

    def __init__(
        self,
        in_features: int,
        hidden: int,
        kernel_size: int | Sequence[int],
        *,
        recurrent_kernel_size: int | Sequence[int] | None = None,
        activation: Activation = jnp.tanh,
        gate_activation: Activation = jax.nn.sigmoid,
        forget_bias: float = 1.0,
        peephole_shape: Sequence[int] | None = None,
        input_init: nnx.Initializer = initializers.lecun_normal(),  # noqa: B008
        recurrent_init: nnx.Initializer = initializers.orthogonal(),  # noqa: B008
        dtype=None,
        param_dtype=jnp.float32,
        name: str = "conv_lstm",
        rngs: nnx.Rngs,
    ):
        if recurrent_kernel_size is None:
            recurrent_kernel_size = kernel_size
        check_callables(activation=activation, gate_activation=gate_activation)
        check_counts(in_features=in_features, hidden=hidden)
        check_optional_name(name, "name")
        if peephole_shape is not None:
            peephole_shape = window_of(peephole_shape, "peephole_shape")
        weights = drawn_weights(
            F.init_conv_lstm,
            stream(rngs, "params")(),
            in_features,
            hidden,
            window_of(kernel_size),
            recurrent_kernel_size=window_of(
                recurrent_kernel_size, "recurrent_kernel_size"
            ),
            forget_bias=forget_bias,
            peephole_shape=peephole_shape,
            input_init=input_init,
            recurrent_init=recurrent_init,
            dtype=param_dtype,
        )
        for field, param in weights.items():
            setattr(self, field, param)
        self.dtype = as_float_or_none(dtype)
        self.activation = activation
        self.gate_activation = gate_activation
        self.name = name

    @property
    def params(self) -> F.ConvLSTMParams:
        """The weights as `jaxnets.functional` takes them."""
        return F.ConvLSTMParams(
            self.w_xh[...], self.w_hh[...], self.b[...], value_or_none(self.peephole)
        )

    def __call__(
        self,
        x: Shaped[ArrayLike, "..."],
        state: F.LSTMState | None = None,
        **options: Any,
    ) -> tuple[F.LSTMState, Inexact[Array, "..."]]:
        """Run over the time axis of `x (*batch, T, *spatial, D)`.

        Args:
            x: Inputs.
            state: Initial `LSTMState` of h and c `(*batch, *spatial, H)`; None is
                zeros.
            **options: The scan options of `jaxnets.functional.conv_lstm`.

        Returns:
            The final state and the outputs of every step `(*batch, T, *spatial, H)`.
        """
        params, x, state = cast(self.dtype, self.params, x, state)
        with scope(self.name):
            return F.conv_lstm(
                params,
                x,
                state,
                activation=self.activation,
                gate_activation=self.gate_activation,
                **options,
            )
