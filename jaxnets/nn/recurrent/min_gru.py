"""The minimal gated recurrent unit as a Flax NNX module."""

import jax.numpy as jnp
from flax import nnx
from flax.nnx import initializers

from jaxnets.nn.recurrent.stack import RecurrentStack


class MinGRU(RecurrentStack):
    """A minimal gated recurrent unit: `jaxnets.functional.min_gru` with its weights.

    Args:
        in_features: D, features of each time step.
        hidden: H, units of the state.
        num_layers: Number of layers. Each reads the outputs of the layer before.
        bidirectional: Whether each layer runs in both directions of time, with weights
            for each. The outputs of both are concatenated to `2*H` features.
        dropout: Rate of dropout between layers, in train mode.
        input_init: Initialiser of the block of each gate in `w_xh`.
        dtype: Dtype of the computation; None promotes those of input and weights.
        param_dtype: Dtype of the weights.
        implementation: Name of an implementation of `jaxnets.functional.min_gru`; None
            chooses.
        name: Scope of its taps.
        rngs: Source of randomness, with the streams `params` and, for dropout,
            `dropout`.

    Raises:
        TypeError: If `num_layers` is not an int.
        ValueError: If a size is below 1, `dropout` is not a probability, or there is
            dropout and only one layer.

    The state of a layer is h `(*batch, H)`. With several layers or directions the state
    has the same structure as in `nn.GRU`.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnets import nn
        >>> layer = nn.MinGRU(3, 5, rngs=nnx.Rngs(0))
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
        input_init: nnx.Initializer = initializers.lecun_normal(),  # noqa: B008
        dtype=None,
        param_dtype=jnp.float32,
        implementation: str | None = None,
        name: str = "min_gru",
        rngs: nnx.Rngs,
    ):
        super().__init__(
            "min_gru",
            in_features,
            hidden,
            init_options={
                "input_init": input_init,
                "dtype": param_dtype,
            },
            options={"implementation": implementation},
            num_layers=num_layers,
            bidirectional=bidirectional,
            dropout=dropout,
            dtype=dtype,
            name=name,
            rngs=rngs,
        )
