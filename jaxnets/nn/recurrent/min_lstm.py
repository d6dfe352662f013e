"""The minimal LSTM as a Flax NNX module."""

import jax.numpy as jnp
from flax import nnx
from flax.nnx import initializers

from jaxnets.nn.recurrent.stack import RecurrentStack


class MinLSTM(RecurrentStack):
    """A minimal LSTM: `jaxnets.functional.min_lstm` with its weights.

    Args:
        in_features: D, features of each time step.
        hidden: H, units of the state.
        num_layers: Layers over one another; each reads the outputs of the one below.
        bidirectional: Whether every layer reads the sequence from both ends, with
            weights for each direction. The outputs stand side by side, `2*H` features.
        dropout: Probability that an output is not seen by the next layer, while the
            module is in train mode; the others are scaled up.
        forget_bias: Bias of the forget gate before training.
        input_init: Initialiser of each gate's block of `w_xh`.
        param_dtype: Dtype of the weights.
        implementation: Name of the implementation that runs, as in
            `jaxnets.functional.min_lstm`; None chooses.
        name: What its taps are called below.
        rngs: Source of randomness: its `params` stream, and `dropout` for that.

    Raises:
        TypeError: If `num_layers` is no int.
        ValueError: If a size is below 1, `dropout` is no probability, or there is
            dropout and only one layer.

    A layer's state is h `(*batch, H)`; that of several layers or directions is as in
    `nn.GRU`.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnets import nn
        >>> layer = nn.MinLSTM(3, 5, rngs=nnx.Rngs(0))
        >>> h, ys = layer(jnp.ones((2, 7, 3)))
        >>> h.shape, ys.shape
        ((2, 5), (2, 7, 5))

    Flax has no such layer.
    """

    def __init__(
        self,
        in_features: int,
        hidden: int,
        *,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        forget_bias: float = 1.0,
        input_init: nnx.Initializer = initializers.lecun_normal(),  # noqa: B008
        param_dtype=jnp.float32,
        implementation: str | None = None,
        name: str = "min_lstm",
        rngs: nnx.Rngs,
    ):
        super().__init__(
            "min_lstm",
            in_features,
            hidden,
            init_options={
                "forget_bias": forget_bias,
                "input_init": input_init,
                "dtype": param_dtype,
            },
            options={"implementation": implementation},
            num_layers=num_layers,
            bidirectional=bidirectional,
            dropout=dropout,
            name=name,
            rngs=rngs,
        )
