"""The long short-term memory as a Flax NNX module."""

import jax
import jax.numpy as jnp
from flax import nnx
from flax.nnx import initializers

from jaxnets.nn.recurrent.layer import Activation
from jaxnets.nn.recurrent.stack import RecurrentStack


class LSTM(RecurrentStack):
    """A long short-term memory: `jaxnets.functional.lstm` with its weights.

    Args:
        in_features: D, features of each time step.
        hidden: H, units of the memory cell.
        num_layers: Number of layers. Each reads the outputs of the layer before.
        bidirectional: Whether each layer runs in both directions of time, with weights
            for each. The outputs of both are concatenated to `2*H` features.
        dropout: Rate of dropout between layers, in train mode.
        activation: Activation of the candidate g.
        gate_activation: Activation of the gates i, f and o.
        output_activation: Activation of the memory cell in the output.
        clip: Bound to which the pre-activations are clipped; None means no bound.
        coupled_gates: Whether `f = 1 - i`.
        forget_bias: Initial bias of the forget gate.
        peephole: Whether the gates depend on the memory cell.
        projection: P, features of the output with a projection; None means no
            projection.
        input_init: Initialiser of the block of each gate in `w_xh`.
        recurrent_init: Initialiser of the block of each gate in `w_hh`.
        dtype: Dtype of the computation; None promotes those of input and weights.
        param_dtype: Dtype of the weights.
        implementation: Name of an implementation of `jaxnets.functional.lstm`; None
            chooses.
        name: Scope of its taps.
        rngs: Source of randomness, with the streams `params` and, for dropout,
            `dropout`.

    Raises:
        TypeError: If `num_layers` is not an int.
        ValueError: If a size is below 1, `dropout` is not a probability, or there is
            dropout and only one layer.

    The state of a layer is an `LSTMState` of h `(*batch, H)`, or `(*batch, P)`, and c
    `(*batch, H)`. With several layers or directions the module's state is a tuple with
    one element for each layer: a state or, with `bidirectional`, a pair of states,
    (forward, backward). The taps are then named `name/layer0/h`, or
    `name/layer0/forward/h`, and so on.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnets import nn
        >>> layer = nn.LSTM(3, 5, rngs=nnx.Rngs(0))
        >>> state, ys = layer(jnp.ones((2, 7, 3)))
        >>> state.h.shape, state.c.shape, ys.shape
        ((2, 5), (2, 5), (2, 7, 5))
        >>> both = nn.LSTM(3, 5, num_layers=2, bidirectional=True, rngs=nnx.Rngs(0))
        >>> state, ys = both(jnp.ones((2, 7, 3)))
        >>> len(state), state[1][0].c.shape, ys.shape
        (2, (2, 5), (2, 7, 10))
        >>> both.last_h(state).shape
        (2, 10)

    In contrast to `flax.nnx.LSTMCell` and `torch.nn.LSTM`, the forget bias starts at 1.
    Stacks have the layout of `torch.nn.LSTM` (`layer_params`, `set_layer_params` and
    `jaxnets.interop.from_pytorch`).
    """

    def __init__(
        self,
        in_features: int,
        hidden: int,
        *,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
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
        dtype=None,
        param_dtype=jnp.float32,
        implementation: str | None = None,
        name: str = "lstm",
        rngs: nnx.Rngs,
    ):
        super().__init__(
            "lstm",
            in_features,
            hidden,
            init_options={
                "forget_bias": forget_bias,
                "peephole": peephole,
                "projection": projection,
                "input_init": input_init,
                "recurrent_init": recurrent_init,
                "dtype": param_dtype,
            },
            options={
                "activation": activation,
                "gate_activation": gate_activation,
                "output_activation": output_activation,
                "clip": clip,
                "coupled_gates": coupled_gates,
                "implementation": implementation,
            },
            num_layers=num_layers,
            bidirectional=bidirectional,
            dropout=dropout,
            dtype=dtype,
            name=name,
            rngs=rngs,
        )
