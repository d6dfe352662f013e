"""Recurrent layers as Flax NNX modules: they hold the weights and call `functional`.

Calls return `(state, ys)`, the order of `jax.lax.scan` and of `jaxnets.functional`.
Each layer puts its taps (`h`, `c` and the gates) below its `name`.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import nnx
from flax.nnx import initializers
from jaxtyping import Array, Inexact, Num

from jaxnets import functional as F
from jaxnets.tap import scope
from jaxnets.typing import ArrayLike


Activation = Callable[[jax.Array], jax.Array]
Sequence = Num[ArrayLike, "*batch_time_features"]
Outputs = Inexact[Array, "*batch_time_hidden"]


class _Recurrent(nnx.Module):
    """Weights of one recurrent function, and the cell options it is called with."""

    _function: ClassVar[Callable[..., Any]]
    _params_type: ClassVar[type]
    w_hh: nnx.Param

    def _hold(self, params: Any, name: str, cell_options: dict[str, Any]) -> None:
        for field, array in params._asdict().items():
            setattr(self, field, None if array is None else nnx.Param(array))
        for option, value in cell_options.items():
            setattr(self, option, value)
        self.name = name
        # A tuple, not a dict: definitions of modules are hashed.
        self.cell_options = tuple(cell_options)

    @property
    def params(self) -> Any:
        """The weights as `jaxnets.functional` takes them."""
        held = [getattr(self, field) for field in self._params_type._fields]
        arrays = [None if param is None else param[...] for param in held]
        return self._params_type(*arrays)

    @property
    def out_features(self) -> int:
        """Features of each output: H, or P with a projection."""
        return self.w_hh.shape[0]

    def __call__(
        self, x: Sequence, state: Any = None, **options: Any
    ) -> tuple[Any, Outputs]:
        """Run over the time axis of `x (*batch, T, D)`.

        Args:
            x: Input sequence.
            state: Initial state; None is zeros.
            **options: All further options of the function in `jaxnets.functional`:
                those of the scan (`lengths`, `resets`, `reverse`, `checkpoint`,
                `truncate`, `implementation` and so on), and `layer_norm`, `zoneout`,
                `recurrent_dropout` and `key`.

        Returns:
            The final state and the outputs of every step `(*batch, T, H)`.
        """
        cell_options = {option: getattr(self, option) for option in self.cell_options}
        with scope(self.name):
            return type(self)._function(
                self.params, x, state, **cell_options, **options
            )


class RNN(_Recurrent):
    """A simple recurrent layer: `jaxnets.functional.rnn` with its weights held.

    Args:
        in_features: D, features of each time step.
        hidden: H, units of the state.
        activation: `phi` of `h_t = phi(x_t w_xh + h_{t-1} w_hh + b)`.
        clip: Bound of the pre-activation; None is no bound.
        input_init: Initialiser of `w_xh`.
        recurrent_init: Initialiser of `w_hh`.
        param_dtype: Dtype of the weights.
        name: What its taps are called below.
        rngs: Source of randomness; its `params` stream is used.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnets import nn
        >>> layer = nn.RNN(3, 5, rngs=nnx.Rngs(0))
        >>> h, ys = layer(jnp.ones((2, 7, 3)))
        >>> h.shape, ys.shape
        ((2, 5), (2, 7, 5))

    It differs from `flax.nnx.RNN` in that the layer is the cell and its scan at once,
    and in the order of the results.
    """

    _function = staticmethod(F.rnn)
    _params_type = F.RNNParams

    def __init__(
        self,
        in_features: int,
        hidden: int,
        *,
        activation: Activation = jnp.tanh,
        clip: float | None = None,
        input_init: nnx.Initializer = initializers.lecun_normal(),  # noqa: B008
        recurrent_init: nnx.Initializer = initializers.orthogonal(),  # noqa: B008
        param_dtype=jnp.float32,
        name: str = "rnn",
        rngs: nnx.Rngs,
    ):
        params = F.init_rnn(
            rngs.params(),
            in_features,
            hidden,
            input_init=input_init,
            recurrent_init=recurrent_init,
            dtype=param_dtype,
        )
        self._hold(params, name, {"activation": activation, "clip": clip})


class GRU(_Recurrent):
    """A gated recurrent unit: `jaxnets.functional.gru` with its weights held.

    Args:
        in_features: D, features of each time step.
        hidden: H, units of the state.
        activation: Of the candidate n.
        gate_activation: Of the gates r and z.
        reset_after: Whether r multiplies after the recurrent product.
        clip: Bound of the pre-activations; None is no bound.
        input_init: Initialiser of each gate's block of `w_xh`.
        recurrent_init: Initialiser of each gate's block of `w_hh`.
        param_dtype: Dtype of the weights.
        name: What its taps are called below.
        rngs: Source of randomness; its `params` stream is used.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnets import nn
        >>> layer = nn.GRU(3, 5, rngs=nnx.Rngs(0))
        >>> h, ys = layer(jnp.ones((2, 7, 3)))
        >>> h.shape, ys.shape
        ((2, 5), (2, 7, 5))

    It differs from `flax.nnx.GRUCell`, which has no bias `b_hn` inside the reset.
    """

    _function = staticmethod(F.gru)
    _params_type = F.GRUParams

    def __init__(
        self,
        in_features: int,
        hidden: int,
        *,
        activation: Activation = jnp.tanh,
        gate_activation: Activation = jax.nn.sigmoid,
        reset_after: bool = True,
        clip: float | None = None,
        input_init: nnx.Initializer = initializers.lecun_normal(),  # noqa: B008
        recurrent_init: nnx.Initializer = initializers.orthogonal(),  # noqa: B008
        param_dtype=jnp.float32,
        name: str = "gru",
        rngs: nnx.Rngs,
    ):
        params = F.init_gru(
            rngs.params(),
            in_features,
            hidden,
            input_init=input_init,
            recurrent_init=recurrent_init,
            dtype=param_dtype,
        )
        options = {
            "activation": activation,
            "gate_activation": gate_activation,
            "reset_after": reset_after,
            "clip": clip,
        }
        self._hold(params, name, options)


class LSTM(_Recurrent):
    """A long short-term memory: `jaxnets.functional.lstm` with its weights held.

    Args:
        in_features: D, features of each time step.
        hidden: H, units of the memory cell.
        activation: Of the candidate g.
        gate_activation: Of the gates i, f and o.
        output_activation: Of the memory cell on its way to the output.
        clip: Bound of the pre-activations; None is no bound.
        coupled_gates: Whether `f = 1 - i`.
        forget_bias: Bias of the forget gate before training.
        peephole: Whether the gates see the memory cell.
        projection: P, features of the output where it is not H.
        input_init: Initialiser of each gate's block of `w_xh`.
        recurrent_init: Initialiser of each gate's block of `w_hh`.
        param_dtype: Dtype of the weights.
        name: What its taps are called below.
        rngs: Source of randomness; its `params` stream is used.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnets import nn
        >>> layer = nn.LSTM(3, 5, rngs=nnx.Rngs(0))
        >>> state, ys = layer(jnp.ones((2, 7, 3)))
        >>> state.h.shape, state.c.shape, ys.shape
        ((2, 5), (2, 5), (2, 7, 5))

    It differs from `flax.nnx.LSTMCell`, whose forget bias starts at 0.
    """

    _function = staticmethod(F.lstm)
    _params_type = F.LSTMParams

    def __init__(
        self,
        in_features: int,
        hidden: int,
        *,
        activation: Activation = jnp.tanh,
        gate_activation: Activation = jax.nn.sigmoid,
        output_activation: Activation = jnp.tanh,
        clip: float | None = None,
        coupled_gates: bool = False,
        forget_bias: float = 1.0,
        peephole: bool = False,
        projection: int | None = None,
        input_init: nnx.Initializer = initializers.lecun_normal(),  # noqa: B008
        recurrent_init: nnx.Initializer = initializers.orthogonal(),  # noqa: B008
        param_dtype=jnp.float32,
        name: str = "lstm",
        rngs: nnx.Rngs,
    ):
        params = F.init_lstm(
            rngs.params(),
            in_features,
            hidden,
            forget_bias=forget_bias,
            peephole=peephole,
            projection=projection,
            input_init=input_init,
            recurrent_init=recurrent_init,
            dtype=param_dtype,
        )
        options = {
            "activation": activation,
            "gate_activation": gate_activation,
            "output_activation": output_activation,
            "clip": clip,
            "coupled_gates": coupled_gates,
        }
        self._hold(params, name, options)
