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
        num_layers: Layers over one another; each reads the outputs of the one below.
        bidirectional: Whether every layer reads the sequence from both ends, with
            weights for each direction. The outputs stand side by side, `2*H` features.
        dropout: Probability that an output is not seen by the next layer, while the
            module is in train mode; the others are scaled up.
        activation: `phi` of `h_t = phi(x_t w_xh + h_{t-1} w_hh + b)`.
        clip: Bound of the pre-activation; None is no bound.
        input_init: Initialiser of `w_xh`.
        recurrent_init: Initialiser of `w_hh`.
        param_dtype: Dtype of the weights.
        implementation: Name of the implementation that runs, as in
            `jaxnets.functional.rnn`; None chooses.
        name: What its taps are called below.
        rngs: Source of randomness: its `params` stream, and `dropout` for that.

    Raises:
        TypeError: If `num_layers` is no int.
        ValueError: If a size is below 1, `dropout` is no probability, or there is
            dropout and only one layer.

    A layer's state is h `(*batch, H)`. With several layers or directions the module's
    state is a tuple over the layers, each element a state, or with `bidirectional` a
    pair of them, (forward, backward). The taps then stand below `name/layer0`, or
    `name/layer0/forward`, and so on.

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

    It differs from `flax.nnx.RNN` in that the layer is the cell and its scan at once,
    and in the order of the results.
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
            name=name,
            rngs=rngs,
        )
