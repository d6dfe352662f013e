"""Which implementation a convolution runs: chosen here, or forced by name."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxnets.choices import Candidate, choose
from jaxnets.functional.convolution.implementations.blocks import conv_sum_by_blocks
from jaxnets.functional.convolution.implementations.lax import ConvOptions, conv_sum
from jaxnets.functional.convolution.implementations.library import (
    conv_sum_ordinary_gradients,
)
from jaxnets.functional.convolution.implementations.planes import conv_sum_by_planes
from jaxnets.functional.convolution.implementations.product import conv_sum_by_product
from jaxnets.functional.convolution.implementations.shifts import conv_sum_by_taps


CONV_IMPLEMENTATIONS: dict[str, Callable[..., jax.Array]] = {
    "product": conv_sum_by_product,
    "taps": conv_sum_by_taps,
    "blocks": conv_sum_by_blocks,
    "planes": conv_sum_by_planes,
    "library": conv_sum_ordinary_gradients,
    "lax": conv_sum,
}

# Every tap is a term of the program, which takes longer to compile the more there are.
_MOST_TAPS = 128
# Every tap of the first axis is a copy of the input.
_MOST_PLANES = 8


def choose_conv(
    implementation: str | None,
    kernel: jax.Array,
    options: ConvOptions,
    *,
    function: str = "conv",
) -> str:
    """Return the name in `CONV_IMPLEMENTATIONS` of the convolution that runs.

    In the order of preference on CPUs, with what they gain over `lax`, value and both
    gradients together:

    - "product": windows of one place, as a matrix product;
    - "taps": depthwise, as a sum over taps (10 times and more);
    - "blocks": grouped, as one ungrouped convolution for each block of groups (10
      times and more);
    - "planes": three spatial axes, as two (4 times);
    - "library": everything else; the same as "lax" outside of loops, and in a loop 50
      to 160 times as fast, since its gradients keep to the layout of the library.

    On accelerators "lax" runs everything.

    Raises:
        ValueError: If the name is unknown, or cannot run with these options.
    """
    *window, channels, _ = kernel.shape
    groups, taps = options.groups, math.prod(window)
    against: dict[str, str] = {}
    if taps > 1 or groups > 1:
        against["product"] = "for ungrouped windows of one place"
    if groups == 1 or channels != 1:
        against["taps"] = "for depthwise convolution, one channel in each group"
    if groups == 1:
        against["blocks"] = "for grouped convolution"
    if groups > 1 or len(window) != 3:
        against["planes"] = "for ungrouped convolution of three spatial axes"
    impossible = set(against)
    if taps > _MOST_TAPS:
        against.setdefault("taps", f"{taps} taps, more than {_MOST_TAPS}")
    if window[0] > _MOST_PLANES:
        against.setdefault("planes", f"{window[0]} taps in depth")
    if not jnp.issubdtype(kernel.dtype, jnp.floating):
        for name in ("product", "taps", "blocks", "planes"):
            against.setdefault(name, f"tuned for floating-point, not {kernel.dtype}")
    if jax.default_backend() != "cpu":
        for name in CONV_IMPLEMENTATIONS:
            if name != "lax":
                against.setdefault(name, "tuned for CPUs")
    candidates = [
        Candidate(name, against.get(name), possible=name not in impossible)
        for name in CONV_IMPLEMENTATIONS
    ]
    return choose(function, implementation, candidates)
