"""The branch of a block: convolutions, normalisation and activations in some order."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from flax.nnx import initializers
from jaxtyping import Array, Float

from jaxnets.arguments import as_count, as_switch, check_callable
from jaxnets.functional.shared.barriers import computed_once
from jaxnets.nn.blocks.parts import identity, made_norm, norm_class
from jaxnets.nn.convolution import Conv
from jaxnets.nn.inputs import as_images
from jaxnets.nn.module import CompiledModule
from jaxnets.nn.normalization import BatchNorm
from jaxnets.nn.parameters import check_counts
from jaxnets.typing import ArrayLike


Features = Float[ArrayLike, "batch height width channels"]
Outputs = Float[Array, "batch out_height out_width out_channels"]

ORDERS = ("post", "inner", "pre")
_NAMES = ("first", "second")


class Branch(CompiledModule):
    """The function `F` of a block; `jaxnets.nn.Block` explains the arguments.

    Attributes:
        first: The first convolution, and `second` the second, if there are two.
        first_norm: What normalises beside the first convolution; `second_norm` too.
        biases: With `scalar_biases` and m convolutions `(2 m - 1,)`, in the order in
            which they are added; else None.
    """

    first: Conv
    second: Conv
    first_norm: Any
    second_norm: Any

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        strides: int = 1,
        layers: int = 2,
        order: str = "post",
        norm: Callable[..., Any] | None = BatchNorm,
        activation: Callable[[jax.Array], jax.Array] = jax.nn.relu,
        scalar_biases: bool = False,
        kernel_init: nnx.Initializer = initializers.lecun_normal(),  # noqa: B008
        last_kernel_init: nnx.Initializer | None = None,
        bias_init: nnx.Initializer = initializers.zeros_init(),  # noqa: B008
        rngs: nnx.Rngs,
    ):
        check_counts(in_features=in_features, out_features=out_features)
        as_count(strides, "strides", meaning="the same on both axes")
        as_count(layers, "layers", maximum=2, meaning="the convolutions of the branch")
        as_switch(scalar_biases, "scalar_biases")
        if order not in ORDERS:
            raise ValueError(f"`order` is {order!r}; wanted one of {ORDERS}.")
        check_callable("activation", activation, "a function, such as `jax.nn.relu`")
        self.in_features = in_features
        self.names = _NAMES[:layers]
        self.order = order
        self.activation = activation
        widths = [in_features, out_features][:layers]
        inits = [kernel_init] * layers
        if last_kernel_init is not None:
            inits[-1] = last_kernel_init
        for name, width, init in zip(self.names, widths, inits, strict=True):
            conv = Conv(
                self._activated(width),
                out_features,
                (3, 3),
                strides=strides if name == "first" else 1,
                use_bias=norm is None and not scalar_biases,
                kernel_init=init,
                bias_init=bias_init,
                rngs=rngs,
            )
            setattr(self, name, conv)
        for name, width in zip(self.names, widths, strict=True):
            features = width if order == "pre" else out_features
            layer = identity if norm is None else made_norm(norm, features, rngs)
            setattr(self, f"{name}_norm", layer)
        biases = nnx.Param(jnp.zeros(2 * layers - 1)) if scalar_biases else None
        self.biases = biases

    def _activated(self, features: int) -> int:
        """Return the number of channels that a convolution reads."""
        images = jax.ShapeDtypeStruct((1, 1, 1, features), jnp.float32)
        shape = jnp.shape(jax.eval_shape(self.activation, images))
        if shape == images.shape:
            return features
        if self.order != "pre" or shape[:-1] != images.shape[:-1]:
            raise ValueError(
                f"`activation` turns feature maps of shape {images.shape} into "
                f'{shape}; wanted the same shape, or with `order="pre"` another '
                "number of channels."
            )
        return shape[-1]

    def __call__(self, x: Features) -> Outputs:
        """Map `x (B, h, w, C_in)` to `(B, h / strides, w / strides, C_out)`."""
        y = as_images(x, self.in_features)
        active = lambda y: computed_once(self.activation(y))
        last = len(self.names) - 1
        for number, name in enumerate(self.names):
            conv, norm = getattr(self, name), getattr(self, f"{name}_norm")
            if self.order == "pre":
                y = active(norm(y))
            elif number:
                y = active(y)
            y = conv(self._shifted(y, 2 * number))
            if number < last:
                y = self._shifted(y, 2 * number + 1)
            if self.order != "pre":
                y = norm(y)
        return active(y) if self.order == "inner" else y

    def _shifted(self, x: jax.Array, number: int) -> jax.Array:
        return x if self.biases is None else x + self.biases[number]


class ConvBranch(Branch):
    """The branch `F(x)` of He et al. 2015: convolution, ReLU, convolution.

    Args:
        in_features: C_in, channels of the input.
        out_features: C_out, output channels of both convolutions.
        strides: Strides of the first convolution.
        batch_norm: Whether each convolution is followed by BatchNorm (Ioffe and
            Szegedy 2015). Convolutions then have no bias, because BatchNorm subtracts
            it with the mean.
        kernel_init: Initialiser of both kernels.
        rngs: Source of randomness; its `params` stream is used.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnets import nn
        >>> branch = nn.ConvBranch(3, 8, strides=2, rngs=nnx.Rngs(0))
        >>> branch(jnp.ones((2, 8, 8, 3))).shape
        (2, 4, 4, 8)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        strides: int = 1,
        batch_norm: bool = True,
        kernel_init: nnx.Initializer = initializers.lecun_normal(),  # noqa: B008
        rngs: nnx.Rngs,
    ):
        super().__init__(
            in_features,
            out_features,
            strides=strides,
            norm=norm_class(batch_norm),
            kernel_init=kernel_init,
            rngs=rngs,
        )
