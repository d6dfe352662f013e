"""Batch normalisation as a Flax NNX module, which holds the running statistics."""

import jax
import jax.numpy as jnp
from flax import nnx
from flax.nnx import initializers
from jaxtyping import Array, Inexact, Shaped

from jaxnets import functional as F
from jaxnets.arguments import as_switch
from jaxnets.functional.normalization import check_epsilon
from jaxnets.nn.module import CompiledModule
from jaxnets.nn.options import check_optional_name, check_range, frozen
from jaxnets.nn.parameters import (
    as_float_or_none,
    as_param_dtype,
    bias_or_none,
    cast,
    check_counts,
    parameter,
)
from jaxnets.typing import ArrayLike


class BatchNorm(CompiledModule):
    """Batch normalisation: `jaxnets.functional.batch_norm` with learned parameters.

    In training mode it uses the statistics of the batch and moves the running ones
    towards them; in evaluation mode it uses the running ones. `model.train()` and
    `model.eval()` switch, as for `flax.nnx.BatchNorm`.

    Args:
        num_features: C, channels of the input.
        use_running_average: Whether it starts in evaluation mode.
        momentum: Weight of the old running statistics in each update.
        epsilon: Added to the variance.
        dtype: Dtype to compute in; None takes that of input and parameters.
        param_dtype: Dtype of scale and bias; the statistics are float32.
        use_bias: Whether to add a bias.
        use_scale: Whether to multiply by a scale.
        bias_init: Initialiser of the bias.
        scale_init: Initialiser of the scale.
        axis_name: Name of a mapped axis, over which the statistics of the batch are
            taken too.
        rngs: Source of randomness; its `params` stream is used.

    Attributes:
        scale: `(C,)`, or None.
        bias: `(C,)`, or None.
        mean: `(C,)`, an `nnx.BatchStat`: the running mean.
        var: `(C,)`, an `nnx.BatchStat`: the running variance, the biased one (divisor
            N).

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnets import nn
        >>> layer = nn.BatchNorm(1, rngs=nnx.Rngs(0))
        >>> layer(jnp.array([[3.0], [5.0]])).ravel().round(3)
        Array([-1.,  1.], dtype=float32)
        >>> layer.mean[...]  # 0.9 * 0 + 0.1 * 4
        Array([0.4], dtype=float32)

    Source: Ioffe and Szegedy 2015, "Batch Normalization: Accelerating Deep Network
    Training by Reducing Internal Covariate Shift". Unlike in `flax.nnx.BatchNorm`, the
    variance stays exact where the mean is large, the default momentum is 0.9 and not
    0.99, and there is no mask.
    """

    def __init__(
        self,
        num_features: int,
        *,
        use_running_average: bool = False,
        momentum: float = 0.9,
        epsilon: float = 1e-5,
        dtype=None,
        param_dtype=jnp.float32,
        use_bias: bool = True,
        use_scale: bool = True,
        bias_init: nnx.Initializer = initializers.zeros_init(),  # noqa: B008
        scale_init: nnx.Initializer = initializers.ones_init(),  # noqa: B008
        axis_name: str | None = None,
        rngs: nnx.Rngs,
    ):
        check_counts(num_features=num_features)
        check_range(momentum, "momentum", 0, 1, "the weight of the old statistics")
        check_epsilon(epsilon)
        as_switch(use_running_average, "use_running_average")
        if not isinstance(axis_name, tuple):
            check_optional_name(axis_name, "axis_name")
        as_float_or_none(dtype)
        as_param_dtype(param_dtype, jnp.floating)
        shape = (num_features,)
        self.mean = nnx.BatchStat(jnp.zeros(shape, jnp.float32))
        self.var = nnx.BatchStat(jnp.ones(shape, jnp.float32))

        scaled = as_switch(use_scale, "use_scale")
        scale = lambda: parameter("scale_init", scale_init, shape, param_dtype, rngs)
        self.scale = scale() if scaled else None
        self.bias = bias_or_none(use_bias, bias_init, num_features, param_dtype, rngs)
        self.use_running_average = use_running_average
        self.momentum = frozen(momentum)
        self.epsilon = frozen(epsilon)
        self.dtype = dtype
        self.axis_name = axis_name

    def __call__(
        self,
        x: Shaped[ArrayLike, "*batch_spatial features"],
        use_running_average: bool | None = None,
    ) -> Inexact[Array, "*batch_spatial features"]:
        """Normalise `x (*batch, *spatial, C)`.

        Args:
            x: Feature maps.
            use_running_average: Whether this call is in evaluation mode; None uses the
                attribute.
        """
        parameters = (p if p is None else p[...] for p in (self.scale, self.bias))
        x, scale, bias = cast(self.dtype, x, *parameters)
        if use_running_average is None:
            use_running_average = self.use_running_average
        if use_running_average:
            running = self.mean[...], self.var[...]
            return F.batch_norm(x, scale, bias, *running, epsilon=self.epsilon)[0]
        y, *statistics = F.batch_norm(
            x, scale, bias, epsilon=self.epsilon, axis_name=self.axis_name
        )
        for running, batch in zip((self.mean, self.var), statistics, strict=True):
            updated = self.momentum * running[...] + (1 - self.momentum) * batch
            # The running statistics are not differentiated.
            running[...] = jax.lax.stop_gradient(updated)
        return y

    def set_view(self, use_running_average: bool | None = None):
        """Set the mode of the view that `nnx.view` makes of this layer.

        Args:
            use_running_average: Whether the view is in evaluation mode; None keeps the
                current mode.
        """
        if use_running_average is not None:
            self.use_running_average = use_running_average
