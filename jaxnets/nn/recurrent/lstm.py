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
        num_layers: Layers over one another; each reads the outputs of the one below.
        bidirectional: Whether every layer reads the sequence from both ends, with
            weights for each direction. The outputs stand side by side: `2*H` features.
        dropout: Probability that an output is not seen by the next layer, while the
            module is in train mode; the others are scaled up.
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
        implementation: Name of the implementation that runs, as in
            `jaxnets.functional.lstm`; None chooses.
        name: What its taps are called below.
        rngs: Source of randomness: its `params` stream, and `dropout` for that.

    Raises:
        TypeError: If `num_layers` is no int.
        ValueError: If a size is below 1, `dropout` is no probability, or there is
            dropout and only one layer.

    A layer's state is `LSTMState` of h `(*batch, H)`, or `(*batch, P)`, and c `(*batch,
    H)`. With several layers or directions the module's state is a tuple over the
    layers, each element a state, or with `bidirectional` a pair of them, (forward,
    backward). The taps then stand below `name/layer0`, or `name/layer0/forward`, and so
    on.

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

    It differs from `flax.nnx.LSTMCell`, whose forget bias starts at 0, and from
    `torch.nn.LSTM` in that too; stacks have the layout of the latter (`layer_params`,
    `set_layer_params` and `jaxnets.interop.from_pytorch`).
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
            name=name,
            rngs=rngs,
        )
