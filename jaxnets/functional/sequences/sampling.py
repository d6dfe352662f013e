"""Random choices from logits, all of them or the likeliest only."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Float, Int

from jaxnets.arguments import as_array, as_count, check_key, check_number
from jaxnets.functional.shared.dtypes import accumulation_dtype
from jaxnets.typing import ArrayLike, Key


# A number that may be traced, such as that of a slider.
Rate = int | float | ArrayLike


def sample_logits(
    logits: Float[ArrayLike, "*batch classes"],
    *,
    key: Key | None = None,
    temperature: Rate = 1.0,
    top_k: int | None = None,
    top_p: Rate | None = None,
) -> Int[Array, "*batch"]:
    """Draw a class from `softmax(logits / temperature)`, or from its likeliest only.

    The classes are sorted by probability, the likeliest first; of equal ones the lower
    index is first. `top_k` keeps the first k, and scales their probabilities to a sum
    of 1. Of these `top_p` keeps the smallest number of first classes whose
    probabilities sum to at least p. A class is drawn from those that are kept, with
    probabilities that are scaled to a sum of 1 again.

    Args:
        logits: `(*batch, V)`. A logit of minus infinity excludes its class.
        key: A JAX random key; the rows draw independently. It may be None at
            temperature 0.
        temperature: 0 takes the likeliest class, 1 draws from the softmax, and more
            makes the probabilities more equal. It may be traced.
        top_k: Number of classes to draw from; None, and V or more, is all of them.
        top_p: Probability p of the classes to draw from, above 0 and at most 1; None is
            all of them. It may be traced.

    Returns:
        The classes, int32 of shape `batch`.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If `logits` have no classes, or an option is out of range.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxnets.functional import sample_logits
        >>> logits = jnp.log(jnp.array([0.5, 0.3, 0.2]))
        >>> draw = lambda key: sample_logits(logits, key=key, top_p=0.7)
        >>> drawn = jax.vmap(draw)(jax.random.split(jax.random.key(0), 1000))
        >>> jnp.unique(drawn)  # 0.5 + 0.3 is at least 0.7
        Array([0, 1], dtype=int32)

    Source: Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration",
    section 3.1, for `top_p` (nucleus sampling), and Fan et al. 2018, "Hierarchical
    Neural Story Generation", section 5.1, for `top_k`. `jax.random.categorical` is this
    function without options.
    """
    logits = as_array(logits, "logits")
    if not jnp.issubdtype(logits.dtype, jnp.floating):
        raise TypeError(
            f"`logits` has dtype {logits.dtype}; wanted floating-point numbers."
        )
    if logits.ndim == 0 or logits.shape[-1] == 0:
        raise ValueError(
            f"`logits` has shape {logits.shape}; wanted (*batch, classes), with at "
            "least one class."
        )
    if top_k is not None:
        top_k = as_count(top_k, "top_k", meaning="the classes to draw from, or None")
    positive = "a probability above 0 and at most 1, or None"
    if _known("temperature", temperature, "a finite number of 0 or more"):
        _check("temperature", temperature, 0 <= temperature < math.inf)
        if temperature == 0:
            return _likeliest(logits)
    if top_p is not None and _known("top_p", top_p, positive):
        _check("top_p", top_p, 0 < top_p <= 1, positive)
    check_key(key)
    # The highest logit becomes 0, so that no temperature makes any of them infinite.
    wide = logits.astype(accumulation_dtype(logits.dtype))
    heat = jnp.asarray(temperature, wide.dtype)
    scaled = wide - jnp.max(wide, axis=-1, keepdims=True)
    scaled = scaled / jnp.where(heat > 0, heat, 1)
    drawn = _draw(scaled, key, top_k, top_p)
    return jnp.where(heat > 0, drawn, _likeliest(logits))


def _draw(logits: jax.Array, key: Any, top_k: int | None, top_p: Any) -> jax.Array:
    """Draw from the first classes, in the order of their logits."""
    if top_k is None and top_p is None:
        return jax.random.categorical(key, logits).astype(jnp.int32)
    count = logits.shape[-1]
    ordered, order = jax.lax.top_k(logits, min(top_k or count, count))
    if top_p is not None:
        chances = jax.nn.softmax(ordered)
        # A class is kept if those before it have less than p together.
        before = jnp.cumsum(chances, axis=-1) - chances
        kept = (before < top_p).at[..., 0].set(True)
        ordered = jnp.where(kept, ordered, -jnp.inf)
    place = jax.random.categorical(key, ordered)
    drawn = jnp.take_along_axis(order, place[..., None], axis=-1)[..., 0]
    return drawn.astype(jnp.int32)


def _likeliest(logits: jax.Array) -> jax.Array:
    return jnp.argmax(logits, axis=-1).astype(jnp.int32)


def _known(name: str, number: Any, wanted: str) -> bool:
    """Return whether the value of a number is known; raise unless it is a number."""
    if isinstance(number, Tracer) and number.ndim == 0:
        return False
    check_number(name, number, wanted)
    return True


def _check(
    name: str, number: Any, accepted: Any, wanted: str = "a finite number of 0 or more"
) -> None:
    if not accepted:
        raise ValueError(f"`{name}` is {number}; wanted {wanted}.")
