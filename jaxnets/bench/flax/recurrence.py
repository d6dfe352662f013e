"""Recurrences of Flax NNX: `nnx.RNN` and `nnx.Bidirectional` over its cells."""

from collections.abc import Callable
from typing import Any

import jax
from flax import nnx

from jaxnets import functional as F


# `OptimizedLSTMCell` computes the same as `LSTMCell`; README.md of benchmarks/ compares
# their times.
FLAX_CELLS = {
    F.RNNParams: nnx.SimpleCell,
    F.GRUParams: nnx.GRUCell,
    F.LSTMParams: nnx.OptimizedLSTMCell,
}


class ManyToOne(nnx.Module):
    """An LSTM and a linear layer on its last output."""

    def __init__(self, in_features: int, hidden: int, outputs: int, *, rngs: nnx.Rngs):
        cell = nnx.OptimizedLSTMCell(in_features, hidden, rngs=rngs)
        self.recurrent = nnx.RNN(cell)
        self.output = nnx.Linear(hidden, outputs, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Return the logits of `x`, of shape `(batch, outputs)`."""
        ys: Any = self.recurrent(x)
        return self.output(ys[:, -1])


def unidirectional(params: Any) -> tuple[Callable[..., jax.Array], Any]:
    """Return `f(state, x) -> ys` and the state that holds the values of `params`."""
    return _pure(layer(params))


def bidirectional_lstm(layers: Any) -> tuple[Callable[..., jax.Array], Any]:
    """Return `f(state, x) -> ys` and the state of a bidirectional LSTM.

    Args:
        layers: For each layer the parameters of both directions, forward first.
    """
    pairs = [tuple(map(layer, pair)) for pair in layers]
    return _pure(nnx.Sequential(*(nnx.Bidirectional(*pair) for pair in pairs)))


def layer(params: Any) -> nnx.RNN:
    """Return the recurrence of Flax that has the values of our `params`.

    Flax orders the gates as we do. Its GRU has no `b_hn`.
    """
    in_features, hidden = params.w_xh.shape[0], params.w_hh.shape[0]
    dtype = params.w_xh.dtype
    zeros = nnx.initializers.zeros_init()
    cell = FLAX_CELLS[type(params)](
        in_features,
        hidden,
        dtype=dtype,
        param_dtype=dtype,
        # The default cannot draw 16-bit numbers. All values are replaced below.
        kernel_init=zeros,
        recurrent_kernel_init=zeros,
        rngs=nnx.Rngs(0),
    )
    cell.dense_i.kernel[...] = params.w_xh
    cell.dense_h.kernel[...] = params.w_hh
    biased = cell.dense_h if isinstance(params, F.LSTMParams) else cell.dense_i
    biased.bias[...] = params.b
    return nnx.RNN(cell)


def _pure(network: nnx.Module) -> tuple[Callable[..., jax.Array], Any]:
    """Split the modules once, outside `jit`, as Flax's guide on performance advises."""
    graphdef, state, rest = nnx.split(network, nnx.Param, ...)
    return lambda state, x: nnx.merge(graphdef, state, rest, copy=True)(x), state
