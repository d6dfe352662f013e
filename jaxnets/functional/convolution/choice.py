"""The choice between the implementations of a convolution."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxnets.choices import Candidate, Chosen, choose
from jaxnets.functional.convolution.implementations.blocks import conv_by_blocks
from jaxnets.functional.convolution.implementations.lax import ConvOptions, conv_by_lax
from jaxnets.functional.convolution.implementations.library import conv_by_library
from jaxnets.functional.convolution.implementations.planes import conv_by_planes
from jaxnets.functional.convolution.implementations.product import conv_by_product
from jaxnets.functional.convolution.implementations.shifts import conv_by_shifts


CONV_IMPLEMENTATIONS: dict[str, Callable[..., jax.Array]] = {
    "product": conv_by_product,
    "shifts": conv_by_shifts,
    "blocks": conv_by_blocks,
    "planes": conv_by_planes,
    "library": conv_by_library,
    "lax": conv_by_lax,
}

_FOR_CPUS = [name for name in CONV_IMPLEMENTATIONS if name != "lax"]
# Each shift is a term of the program, and the time to compile it grows with them.
_MOST_SHIFTS = 128
# Each plane is a copy of the input.
_MOST_PLANES = 8


def choose_conv(
    implementation: str | None,
    kernel: jax.Array,
    options: ConvOptions,
    *,
    function: str = "conv",
) -> Chosen:
    """Return the implementation that runs on each platform, of `CONV_IMPLEMENTATIONS`.

    In order of preference on CPUs:

    - "product": windows of one element, as a matrix product;
    - "shifts": depthwise, as a sum over shifts of the input;
    - "blocks": grouped, as one ungrouped convolution for each block of groups;
    - "planes": three spatial axes, as two;
    - "library": everything else. It compiles to the same program as "lax" outside of
      loops; inside them its gradients still run in XLA's library.

    On accelerators "lax" runs everything.

    Raises:
        ValueError: If the name is unknown, or cannot run with these options.
    """
    *window, channels, _ = kernel.shape
    groups, elements = options.groups, math.prod(window)
    against: dict[str, str] = {}
    if elements > 1 or groups > 1:
        against["product"] = "only for ungrouped windows of one element"
    if groups == 1 or channels != 1:
        against["shifts"] = "only for depthwise convolution, one channel a group"
    if groups == 1:
        against["blocks"] = "only for grouped convolution"
    if groups > 1 or len(window) != 3:
        against["planes"] = "only for ungrouped convolution of three spatial axes"
    impossible = set(against)
    if elements > _MOST_SHIFTS:
        against.setdefault("shifts", f"{elements} shifts, more than {_MOST_SHIFTS}")
    if window[0] > _MOST_PLANES:
        against.setdefault("planes", f"{window[0]} planes, more than {_MOST_PLANES}")
    if not jnp.issubdtype(kernel.dtype, jnp.floating):
        for name in ("product", "shifts", "blocks", "planes"):
            against.setdefault(name, f"tuned for floating-point, not {kernel.dtype}")

    def candidates(platform: str) -> list[Candidate]:
        others = {} if platform == "cpu" else dict.fromkeys(_FOR_CPUS, "tuned for CPUs")
        reasons = others | against
        return [
            Candidate(name, reasons.get(name), possible=name not in impossible)
            for name in CONV_IMPLEMENTATIONS
        ]

    return choose(function, implementation, candidates)
