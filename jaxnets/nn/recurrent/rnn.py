"""The simple recurrent layer as a Flax NNX module."""

import jax.numpy as jnp
from flax import nnx
from flax.nnx import initializers

from jaxnets.nn.recurrent.layer import Activation
from jaxnets.nn.recurrent.stack import RecurrentStack


class RNN(RecurrentStack):
    """A simple recurrent layer: `jaxnets.functional.rnn` with its weights.

    Args:
        in_features: D, features of each time step.
        hidden: H, units of the state.
        num_layers: Number of layers. Each reads the outputs of the layer before.
        bidirectional: Whether each layer runs in both directions of time, with weights
            for each. The outputs of both are concatenated to `2*H` features.
        dropout: Rate of dropout between layers, in train mode.
        activation: Elementwise function, such as `jnp.tanh`.
        clip: Bound to which the pre-activation is clipped; None means no bound.
        input_init: Initialiser of `w_xh`.
        recurrent_init: Initialiser of `w_hh`.
        dtype: Dtype of the computation; None promotes those of input and weights.
        param_dtype: Dtype of the weights.
        implementation: Name of an implementation of `jaxnets.functional.rnn`; None
            chooses.
        name: Scope of its taps.
        rngs: Source of randomness, with the streams `params` and, for dropout,
            `dropout`.

    Raises:
        TypeError: If `num_layers` is not an int.
        ValueError: If a size is below 1, `dropout` is not a probability, or there is
            dropout and only one layer.

    The state of a layer is h `(*batch, H)`. With several layers or directions the
    module's state is a tuple with one element for each layer: a state or, with
    `bidirectional`, a pair of states, (forward, backward). The taps are then named
    `name/layer0/h`, or `name/layer0/forward/h`, and so on.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnets import nn
        >>> layer = nn.RNN(3, 5, rngs=nnx.Rngs(0))
        >>> h, ys = layer(jnp.ones((2, 7, 3)))
        >>> h.shape, ys.shape
        ((2, 5), (2, 7, 5))
        >>> stack = nn.RNN(3, 5, num_layers=2, dropout=0.1, rngs=nnx.Rngs(0))
        >>> (first, second), ys = stack(jnp.ones((2, 7, 3)))
        >>> second.shape, ys.shape
        ((2, 5), (2, 7, 5))

    In contrast to `flax.nnx.RNN`, the module is both the cell and its scan, and it
    returns the state before the outputs.
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
        clip: float | None = None,
        input_init: nnx.Initializer = initializers.lecun_normal(),  # noqa: B008
        recurrent_init: nnx.Initializer = initializers.orthogonal(),  # noqa: B008
        dtype=None,
        param_dtype=jnp.float32,
        implementation: str | None = None,
        name: str = "rnn",
        rngs: nnx.Rngs,
    ):
        super().__init__(
            "rnn",
            in_features,
            hidden,
            init_options={
                "input_init": input_init,
                "recurrent_init": recurrent_init,
                "dtype": param_dtype,
            },
            options={
                "activation": activation,
                "clip": clip,
                "implementation": implementation,
            },
            num_layers=num_layers,
            bidirectional=bidirectional,
            dropout=dropout,
            dtype=dtype,
            name=name,
            rngs=rngs,
        )
