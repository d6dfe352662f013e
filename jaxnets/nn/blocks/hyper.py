"""Hyper-connections: several residual streams, which every block mixes."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from flax.nnx import initializers
from jaxtyping import Array, Float

from jaxnets.arguments import as_array, as_count, as_switch
from jaxnets.nn.blocks.branch import Branch
from jaxnets.nn.blocks.stack import Stack
from jaxnets.nn.module import CompiledModule
from jaxnets.nn.options import stream
from jaxnets.nn.parameters import check_counts, parameter
from jaxnets.tap import tap
from jaxnets.typing import ArrayLike


Streams = Float[ArrayLike, "batch height width streams channels"]

# The number of the paper, and its first value of the factors of the dynamic parts.
_SINKHORN_STEPS = 20
_DYNAMIC = 0.01


class HyperBlock(CompiledModule):
    """`y = R x + p F(q x)`: a branch that reads from n streams and writes to all.

    At every position x is a matrix `(n, C)`. The mixing R `(n, n)`, the row q `(1, n)`
    and the column p `(n, 1)` have a static and a dynamic part. N is the RMS
    normalisation, of each stream without the constraint and of all streams together
    with it:

        without constraint:  M = b + a tanh(N(x) W),         R, q, p = M,
        with constraint:     M = b + a N(vec(x)) W,          R = sinkhorn(M),
                             q = sigmoid(M), p = 2 sigmoid(M),

    where R, q and p each have their own b and a. `sinkhorn` normalises the columns and
    the rows of `exp(M)` in turn, 20 times, so R is a doubly stochastic matrix. So is
    the product of all R, and no stream can grow through it: see
    `jaxnets.nn.composite_gain`.

    W starts at zero and a at 0.01. The b of R starts at the identity matrix. The b of q
    starts at 1 for one stream, which is chosen at random, and at 0 for the others. The
    b of p starts so that p is 1.

    Begin with n copies of an image's features, `jnp.repeat(x[..., None, :], n, -2)`,
    and end with the sum or the mean of the streams.

    Args:
        features: C, channels of a stream.
        streams: n, number of streams.
        constrained: Whether R, q and p are constrained as above.
        **options: Switches of the branch, as of `jaxnets.nn.Block`: `layers`, `norm`,
            `activation`, `scalar_biases`, `kernel_init`, `last_kernel_init`,
            `bias_init`, `rngs`, and `order`, which is "pre" here by default.

    Attributes:
        branch: F.
        kernel: W, `(n C, n (n + 2))` with the constraint and `(C, n + 2)` without it.
        factors: The a of q, p and R, `(3,)`.
        read_bias: The b of q, `(n,)`.
        write_bias: The b of p, `(n,)`.
        mixing_bias: The b of R, `(n, n)`.

    Raises:
        TypeError: If a size is not an int.
        ValueError: If a size is below 1; in a call, if `x` has another shape.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnets import nn
        >>> make = lambda rngs: nn.HyperBlock(8, rngs=rngs)
        >>> stack = nn.Stack(make, 3, rngs=nnx.Rngs(0))
        >>> x = jnp.repeat(jnp.ones((2, 6, 6, 1, 8)), 4, axis=-2)
        >>> stack(x).mean(axis=-2).shape
        (2, 6, 6, 8)

    Source: Zhu et al. 2024, "Hyper-Connections", without constraint; Xie et al. 2025,
    "mHC: Manifold-Constrained Hyper-Connections" (arXiv 2512.24880), with n = 4.
    """

    def __init__(
        self, features: int, *, streams: int = 4, constrained: bool = True, **options
    ):
        check_counts(features=features)
        n = as_count(streams, "streams")
        self.constrained = as_switch(constrained, "constrained")
        self.shape = n, features
        self.branch = Branch(features, features, **({"order": "pre"} | options))
        rngs = options["rngs"]
        shape = (n * features, n * (n + 2)) if constrained else (features, n + 2)
        zeros = initializers.zeros_init()
        self.kernel = parameter("kernel_init", zeros, shape, jnp.float32, rngs)
        self.factors = nnx.Param(jnp.full(3, _DYNAMIC))
        chosen = jax.random.randint(stream(rngs, "params")(), (), 0, n)
        self.read_bias = nnx.Param(jax.nn.one_hot(chosen, n))
        self.write_bias = nnx.Param(jnp.full(n, 0.0 if constrained else 1.0))
        self.mixing_bias = nnx.Param(jnp.eye(n))

    def __call__(
        self, x: Streams
    ) -> Float[Array, "batch height width streams channels"]:
        """Map `x (B, height, width, n, C)` to an array of the same shape."""
        carried, added = self._terms(x)
        return tap(carried + added, "block")

    def contribution(self, x: Streams) -> Float[Array, ""]:
        """Return `|p F(q x)| / |R x|`, with norms over all elements."""
        carried, added = self._terms(x)
        return jnp.linalg.norm(added.ravel()) / jnp.linalg.norm(carried.ravel())

    def _terms(self, x: Any) -> tuple[jax.Array, jax.Array]:
        """Return R x and p F(q x)."""
        x = self._streams(x)
        read, write, mixing = self._maps(x)
        y = self.branch(jnp.einsum("...n,...nc->...c", read, x))
        return mixing @ x, write[..., None] * y[..., None, :]

    def mixing(self, x: Streams) -> Float[Array, "batch height width streams streams"]:
        """Return R at every position of `x (B, height, width, n, C)`."""
        return self._maps(self._streams(x))[2]

    def _streams(self, x: Any) -> jax.Array:
        x = as_array(x, "x")
        if x.ndim != 5 or x.shape[-2:] != self.shape:
            n, features = self.shape
            raise ValueError(
                f"`x` has shape {x.shape}; wanted (batch, height, width, {n}, "
                f"{features}): {n} streams of {features} channels. Begin with "
                f"`jnp.repeat(x[..., None, :], {n}, axis=-2)`."
            )
        return x

    def _maps(self, x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Return q, p and R at every position."""
        n, features = self.shape
        if self.constrained:
            dynamic = _normalised(x.reshape(*x.shape[:-2], n * features)) @ self.kernel
            read, write, mixing = jnp.split(dynamic, [n, 2 * n], axis=-1)
            mixing = mixing.reshape(*mixing.shape[:-1], n, n)
        else:
            dynamic = jnp.tanh(_normalised(x) @ self.kernel)
            read, write, mixing = jnp.split(dynamic, [1, 2], axis=-1)
            read, write, mixing = (
                read[..., 0],
                write[..., 0],
                jnp.matrix_transpose(mixing),
            )
        a = self.factors[...]
        read = self.read_bias + a[0] * read
        write = self.write_bias + a[1] * write
        mixing = self.mixing_bias + a[2] * mixing
        if not self.constrained:
            return read, write, mixing
        return jax.nn.sigmoid(read), 2 * jax.nn.sigmoid(write), _sinkhorn(mixing)


def composite_gain(
    stack: Stack, x: Streams
) -> tuple[Float[Array, " layers"], Float[Array, " layers"]]:
    """Return how much the product of the mixing matrices R of a stack can amplify.

    For each l there are two gains: the largest absolute row sum of `R_l ... R_1`, which
    bounds the growth of the largest stream in the forward pass, and the largest
    absolute column sum, which bounds the growth of a cotangent in the backward pass.
    Both are the largest over all positions. With the constraint they are 1, up to the
    error that the iterations of `sinkhorn` leave. Zhu et al.'s form has reached about
    3,000 in a language model of 27 billion parameters (Xie et al. 2025).

    Args:
        stack: A `Stack` of `HyperBlock`s.
        x: Streams, `(B, height, width, n, C)`.

    Returns:
        The gains of the forward and of the backward pass, `(L,)` each.

    Raises:
        TypeError: If the blocks of the stack are not `HyperBlock`s.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnets import nn
        >>> make = lambda rngs: nn.HyperBlock(8, rngs=rngs)
        >>> stack = nn.Stack(make, 3, rngs=nnx.Rngs(0))
        >>> forward, _ = nn.composite_gain(stack, jnp.ones((2, 6, 6, 4, 8)))
        >>> forward.round(3)
        Array([1., 1., 1.], dtype=float32)

    Source: Xie et al. 2025, "mHC: Manifold-Constrained Hyper-Connections" (arXiv
    2512.24880), section 3.1 and figure 3.
    """
    if not isinstance(stack.blocks, HyperBlock):
        raise TypeError(
            f"`stack` has blocks of type `{type(stack.blocks).__name__}`; wanted a "
            "`Stack` of `HyperBlock`s."
        )

    def step(block, carry):
        x, product = carry
        product = block.mixing(x) @ product
        sums = [jnp.max(jnp.sum(jnp.abs(product), axis)) for axis in (-1, -2)]
        return (block(x), product), tuple(sums)

    x = as_array(x, "x")
    n = x.shape[-2]
    start = jnp.broadcast_to(jnp.eye(n, dtype=x.dtype), (*x.shape[:-2], n, n))
    return stack.over_blocks(step, (x, start))[1]


def _normalised(x: jax.Array) -> jax.Array:
    """Divide by the root of the mean square over the last axis."""
    return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + 1e-6)


def _sinkhorn(logits: jax.Array) -> jax.Array:
    """Return the doubly stochastic matrices that are near `exp(logits)`."""

    def step(matrix, _):
        matrix = matrix / jnp.sum(matrix, axis=-2, keepdims=True)
        return matrix / jnp.sum(matrix, axis=-1, keepdims=True), None

    largest = jnp.max(logits, axis=(-2, -1), keepdims=True)
    positive = jnp.exp(logits - jax.lax.stop_gradient(largest))
    return jax.lax.scan(step, positive, length=_SINKHORN_STEPS)[0]
