"""The gated recurrent unit as a Flax NNX module."""

import jax
import jax.numpy as jnp
from flax import nnx
from flax.nnx import initializers

from jaxnets.nn.recurrent.layer import Activation
from jaxnets.nn.recurrent.stack import RecurrentStack


class GRU(RecurrentStack):
    """A gated recurrent unit: `jaxnets.functional.gru` with its weights.

    Args:
        in_features: D, features of each time step.
        hidden: H, units of the state.
        num_layers: Layers over one another; each reads the outputs of the one below.
        bidirectional: Whether every layer reads the sequence from both ends, with
            weights for each direction. The outputs stand side by side, `2*H` features.
        dropout: Probability that an output is not seen by the next layer, while the
            module is in train mode; the others are scaled up.
        activation: Of the candidate n.
        gate_activation: Of the gates r and z.
        reset_after: Whether r multiplies after the recurrent product.
        clip: Bound of the pre-activations; None is no bound.
        input_init: Initialiser of each gate's block of `w_xh`.
        recurrent_init: Initialiser of each gate's block of `w_hh`.
        param_dtype: Dtype of the weights.
        implementation: Name of the implementation that runs, as in
            `jaxnets.functional.gru`; None chooses.
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
        >>> layer = nn.GRU(3, 5, rngs=nnx.Rngs(0))
        >>> h, ys = layer(jnp.ones((2, 7, 3)))
        >>> h.shape, ys.shape
        ((2, 5), (2, 7, 5))
        >>> both = nn.GRU(3, 5, num_layers=2, bidirectional=True, rngs=nnx.Rngs(0))
        >>> state, ys = both(jnp.ones((2, 7, 3)))
        >>> [(there.shape, back.shape) for there, back in state], ys.shape
        ([((2, 5), (2, 5)), ((2, 5), (2, 5))], (2, 7, 10))

    It differs from `flax.nnx.GRUCell`, which has no bias `b_hn` inside the reset.
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
        reset_after: bool = True,
        clip: float | None = None,
        input_init: nnx.Initializer = initializers.lecun_normal(),  # noqa: B008
        recurrent_init: nnx.Initializer = initializers.orthogonal(),  # noqa: B008
        param_dtype=jnp.float32,
        implementation: str | None = None,
        name: str = "gru",
        rngs: nnx.Rngs,
    ):
        super().__init__(
            "gru",
            in_features,
            hidden,
            init_options={
                "input_init": input_init,
                "recurrent_init": recurrent_init,
                "dtype": param_dtype,
            },
            options={
                "activation": activation,
                "gate_activation": gate_activation,
                "reset_after": reset_after,
                "clip": clip,
                "implementation": implementation,
            },
            num_layers=num_layers,
            bidirectional=bidirectional,
            dropout=dropout,
            name=name,
            rngs=rngs,
        )
