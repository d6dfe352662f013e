"""Initialisers with which a convolution starts as an isometry or a linear map."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxnets.arguments import check_callable, check_number
from jaxnets.functional.shared.dtypes import accumulation_dtype


Initializer = jax.nn.initializers.Initializer


def delta_orthogonal_init(gain: float = 1.0) -> Initializer:
    """Return an initialiser of kernels that mix channels and not positions.

    The kernel `(*window, C_in, C_out)` is zero but for the element of the window at
    offset `(k - 1) // 2` on each axis of length k, which padding "SAME" places on the
    output's own position. That element is `gain * Q`, where `Q (C_in, C_out)` is drawn
    uniformly among the matrices with orthonormal rows, or with orthonormal columns if
    `C_in > C_out`. So with C_in <= C_out every convolution multiplies the norm of the
    features at each position by `gain`, and n of them in sequence multiply it by
    `gain^n`.

    Args:
        gain: The factor of the orthogonal matrix: `sqrt(weight_variance)` for a weight
            variance such as that of `jaxnets.gradflow.theory.critical_line`.

    Returns:
        An initialiser for `kernel_init`.

    Raises:
        TypeError: If `gain` is not a number.
        ValueError: In a call, if the shape has fewer than two axes.

    Example:
        >>> import jax
        >>> from jaxnets.functional import delta_orthogonal_init
        >>> kernel = delta_orthogonal_init(2.0)(jax.random.key(0), (3, 3, 4, 4))
        >>> bool(kernel[1, 1].any()), bool(kernel[0].any())
        (True, False)
        >>> (kernel[1, 1] @ kernel[1, 1].T).round(3).diagonal()
        Array([4., 4., 4., 4.], dtype=float32)

    Source: Xiao et al. 2018, "Dynamical Isometry and a Mean Field Theory of CNNs: How
    to Train 10,000-Layer Vanilla Convolutional Neural Networks", algorithm 1. It
    differs from `jax.nn.initializers.delta_orthogonal` in that it takes kernels of any
    number of spatial axes, none included, and fewer outputs than inputs. Under
    `jax.vmap`, as in `jaxnets.nn.Stack`, the matrices of all layers are one batched QR
    decomposition.
    """
    check_number("gain", gain, "the factor of the orthogonal matrix, such as 1.0")

    def init(key, shape, dtype=jnp.float32, out_sharding=None):
        del out_sharding
        *window, rows, columns = _kernel_shape(shape)
        # A QR decomposition needs at least float32.
        wide = accumulation_dtype(dtype)
        matrix = jax.nn.initializers.orthogonal(gain)(key, (rows, columns), wide)
        center = tuple((length - 1) // 2 for length in window)
        return jnp.zeros(shape, dtype).at[center].set(matrix.astype(dtype))

    return init


def looks_linear_init(init: Initializer | None = None) -> Initializer:
    """Return an initialiser with which a convolution of `crelu(x)` is linear in `x`.

    Half of the kernel, `W (*window, C_in / 2, C_out)`, is drawn with `init`, and the
    other half is its negative. With `crelu(x) = [max(x, 0), max(-x, 0)]`

        conv(crelu(x), [W, -W]) = conv(max(x, 0) - max(-x, 0), W) = conv(x, W),

    so a network of such layers begins as a linear one. Its gradients then do not
    decorrelate with depth; training makes the halves differ.

    Args:
        init: Initialiser of W; None is `delta_orthogonal_init()`.

    Returns:
        An initialiser for `kernel_init` of the layers that follow a
        `jaxnets.functional.crelu`.

    Raises:
        TypeError: If `init` is not a function.
        ValueError: In a call, if the number of input channels is odd.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import crelu, looks_linear_init
        >>> w = looks_linear_init()(jax.random.key(0), (4, 2))
        >>> x = jnp.array([3.0, -1.0])
        >>> bool(jnp.allclose(crelu(x) @ w, x @ w[:2], atol=1e-6))
        True

    Source: Balduzzi et al. 2017, "The Shattered Gradients Problem: If resnets are the
    answer, then what is the question?", section 5.
    """
    init = delta_orthogonal_init() if init is None else init
    check_callable("init", init, "an initialiser, such as `delta_orthogonal_init()`")

    def mirrored(key, shape, dtype=jnp.float32, out_sharding=None):
        del out_sharding
        *window, rows, columns = _kernel_shape(shape)
        if rows % 2:
            raise ValueError(
                f"`kernel_init` is to draw a kernel of shape {tuple(shape)}, with "
                f"{rows} input channels; wanted an even number, since `crelu` doubles "
                "the channels."
            )
        half = init(key, (*window, rows // 2, columns), dtype)
        return jnp.concatenate([half, -half], axis=-2)

    return mirrored


def _kernel_shape(shape: Any) -> tuple[int, ...]:
    """Return `shape`, which must have the axes of input and output channels."""
    if len(shape) < 2:
        raise ValueError(
            f"`kernel_init` is to draw an array of shape {tuple(shape)}; wanted a "
            "kernel with the axes (*window, C_in, C_out). For a bias use another "
            "initialiser."
        )
    return tuple(shape)
