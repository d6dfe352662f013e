"""The published methods for deep networks, as switches of `Block`."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from flax.nnx import initializers

from jaxnets import functional as F
from jaxnets.arguments import as_count


def block_options(method: str, count: int) -> dict[str, Any]:
    """Return the switches of `jaxnets.nn.Block` for a published method.

    The weights start at He's variance, `2 / fan_in` (He et al. 2015, "Delving Deep into
    Rectifiers"), where the table names none. L is `count`.

    - "plain": two convolutions with BatchNorm and no shortcut (He et al. 2015, "Deep
      Residual Learning for Image Recognition").
    - "residual": the same with a shortcut (the same paper).
    - "pre-activation": norm and activation come before each convolution (He et al.
      2016, "Identity Mappings in Deep Residual Networks").
    - "skip-init": the same without norm; the branch has a learned factor that starts at
      0 (De and Smith 2020, "Batch Normalization Biases Residual Blocks Towards the
      Identity Function in Deep Networks").
    - "rezero": `x + s f(C x)` with a learned s that starts at 0 (Bachlechner et al.
      2020, "ReZero is All You Need: Fast Convergence at Large Depth").
    - "fixup": "residual" with scalar biases and a learned factor that starts at 1, in
      place of the norm. The first kernel has variance `2 / (fan_out L)`, the last is
      zero (Zhang et al. 2019, "Fixup Initialization: Residual Learning Without
      Normalization").
    - "depth-scaled": "pre-activation" without norm; the branch has the fixed factor
      `1 / sqrt(L)` (Hayou et al. 2021, "Stable ResNet").
    - "delta-orthogonal": `tanh(C x)`, with a delta-orthogonal kernel and normal biases.
      Their variances are critical for pre-activations of variance `1 / L`, so that
      singular values stay near 1 over all layers (Xiao et al. 2018, "Dynamical
      Isometry and a Mean Field Theory of CNNs", and for the length Pennington et al.
      2017, "Resurrecting the sigmoid in deep learning through dynamical isometry").
    - "looks-linear": `C crelu(x)`, whose kernel starts as that of a linear layer, with
      a delta-orthogonal matrix (Balduzzi et al. 2017, "The Shattered Gradients
      Problem").
    - "dks": `g(C x)` with tanh, transformed for L layers by `jaxnets.functional.dks`,
      and delta-orthogonal kernels (Martens et al. 2021, "Rapid training of deep neural
      networks without skip connections or normalization layers using Deep Kernel
      Shaping").
    - "tat": the same with `jaxnets.functional.tat_leaky_relu` (Zhang, Botev and Martens
      2022, "Deep Learning without Shortcuts"). For a smooth f take `activation` from
      `jaxnets.functional.tat(f, L)`.

    Args:
        method: A name from the list.
        count: L, number of blocks of the network.

    Returns:
        Keyword arguments of `Block`; change or add others as you need.

    Raises:
        TypeError: If `count` is not an int.
        ValueError: If `count` is below 1 or the method is not known.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnets import nn
        >>> options = nn.block_options("rezero", 100)
        >>> make = lambda rngs: nn.Block(4, 4, **options, rngs=rngs)
        >>> x = jnp.ones((2, 8, 8, 4))
        >>> bool((nn.Stack(make, 100, rngs=nnx.Rngs(0))(x) == x).all())
        True

    Source: The paper of each method, named above.
    """
    count = as_count(count, "count", meaning="the blocks of the network")
    if method not in _METHODS:
        known = ", ".join(map(repr, _METHODS))
        raise ValueError(f"`method` is {method!r}; wanted one of {known}.")
    return {"kernel_init": initializers.he_normal()} | _METHODS[method](count)


_UNNORMED = {"norm": None}
_FROM_ZERO = _UNNORMED | {"branch_scale": 0.0, "learn_scale": True}
_ONE_LAYER = _UNNORMED | {"shortcut": False, "layers": 1}


def _fixup(count: int) -> dict[str, Any]:
    # The paper's exponent is -1 / (2 m - 2) for the standard deviation, and m = 2.
    first = initializers.variance_scaling(2.0 / count, "fan_out", "normal")
    return _UNNORMED | {
        "scalar_biases": True,
        "learn_scale": True,
        "kernel_init": first,
        "last_kernel_init": initializers.zeros_init(),
    }


def _delta_orthogonal(count: int) -> dict[str, Any]:
    # The theory is needed for this method only, and imports all instruments.
    from jaxnets.gradflow.theory import chi_1, length_map

    q = 1.0 / count
    unit = {"weight_variance": 1.0, "bias_variance": 0.0}
    weight_variance = 1.0 / chi_1(jnp.tanh, **unit, q=q)
    bias_variance = q - weight_variance * length_map(jnp.tanh, q, **unit)
    return _ONE_LAYER | {
        "activation": jnp.tanh,
        "kernel_init": F.delta_orthogonal_init(weight_variance**0.5),
        "bias_init": initializers.normal(max(bias_variance, 0.0) ** 0.5),
    }


def _shaped(activation: F.ShapedActivation) -> dict[str, Any]:
    return _ONE_LAYER | {
        "activation": activation,
        "kernel_init": F.delta_orthogonal_init(),
    }


_METHODS: dict[str, Callable[[int], dict[str, Any]]] = {
    "plain": lambda count: {"shortcut": False},
    "residual": lambda count: {},
    "pre-activation": lambda count: {"order": "pre"},
    "skip-init": lambda count: _FROM_ZERO | {"order": "pre"},
    "rezero": lambda count: _FROM_ZERO | {"order": "inner", "layers": 1},
    "fixup": _fixup,
    "depth-scaled": lambda count: (
        _UNNORMED | {"order": "pre", "branch_scale": count**-0.5}
    ),
    "delta-orthogonal": _delta_orthogonal,
    "dks": lambda count: _shaped(F.dks(jnp.tanh, count)),
    "tat": lambda count: _shaped(F.tat_leaky_relu(count)),
    "looks-linear": lambda count: (
        _ONE_LAYER
        | {
            "order": "pre",
            "activation": F.crelu,
            "kernel_init": F.looks_linear_init(),
        }
    ),
}
