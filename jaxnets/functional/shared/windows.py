"""Windows: the border where their options become one canonical form.

Whatever a caller of a convolution or a pool writes (`strides=2`, `padding="SAME"`)
becomes one int or one `(low, high)` pair per spatial axis of
`x (*batch, *spatial, channels)` here, and what can be wrong with it is said here.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Shaped

from jaxnets.functional.shared.arguments import int_or_none, list_or_none
from jaxnets.typing import ArrayLike


if TYPE_CHECKING:
    PerAxis = int | Sequence[int]
    Padding = str | int | Sequence[int | tuple[int, int]]
else:
    # Tests enforce annotations, and tight ones would speak before our messages.
    PerAxis = Padding = Any

Pairs = tuple[tuple[int, int], ...]

STRING_PADDINGS = ("SAME", "SAME_LOWER", "VALID", "CAUSAL")
_CHOICES = ", ".join(map(repr, STRING_PADDINGS))
_JNP_MODES = {
    "zeros": "constant",
    "reflect": "reflect",
    "replicate": "edge",
    "circular": "wrap",
    "symmetric": "symmetric",
}
PADDING_MODES = tuple(_JNP_MODES)


def per_axis(
    value: PerAxis, ndim: int, name: str, *, minimum: int = 1
) -> tuple[int, ...]:
    """Turn an int, or one int per axis, into a tuple of `ndim` ints.

    `name` is what the caller called it, and `minimum` the smallest int allowed.

    Raises:
        TypeError: If `value` is neither an int nor a sequence of ints.
        ValueError: If it has another length than `ndim`, or an int below `minimum`.

    Example:
        >>> per_axis(2, 3, "strides")
        (2, 2, 2)
    """
    wanted = f"wanted an int or {ndim} ints, one per spatial axis"
    single = int_or_none(value)
    values = [single] * ndim if single is not None else list_or_none(value)
    if values is None or any(int_or_none(v) is None for v in values):
        raise TypeError(f"`{name}` is {value!r}; {wanted}.")
    if len(values) != ndim:
        raise ValueError(f"`{name}` is {value!r}, of length {len(values)}; {wanted}.")
    numbers = tuple(int(v) for v in values)
    if min(numbers, default=minimum) < minimum:
        raise ValueError(
            f"`{name}` is {value!r}; wanted {minimum} or more on every axis."
        )
    return numbers


def padding_pairs(
    padding: Padding,
    *,
    name: str = "padding",
    sizes: Sequence[int],
    window: Sequence[int],
    strides: Sequence[int],
    dilation: Sequence[int],
) -> Pairs:
    """Turn a padding option into one `(low, high)` pair per spatial axis.

    With n of `sizes`, k of `window`, s of `strides` and d of `dilation`, SAME pads
    `max((ceil(n / s) - 1) * s + d * (k - 1) + 1 - n, 0)` in all, so that the output
    has `ceil(n / s)` elements; the odd one goes high, for SAME_LOWER low. CAUSAL pads
    `d * (k - 1)` low, so that no output sees a later input.

    Args:
        padding: "SAME", "SAME_LOWER", "VALID", "CAUSAL" (one spatial axis only), an
            int, or a sequence with an int or a `(low, high)` pair per axis. `(1, 2)`
            is one int per axis; pairs are nested, also on one axis: `((1, 2),)`.
        name: What the caller called it, for the messages.
        sizes: Sizes of the spatial axes.
        window: Sizes of the window before dilation.
        strides: One per axis.
        dilation: One per axis.

    Raises:
        TypeError: If `padding` is none of these types.
        ValueError: If the string is unknown, the length wrong or a number negative.

    Example:
        >>> padding_pairs("SAME", sizes=[6], window=[3], strides=[2], dilation=[1])
        ((0, 1),)

    It differs from JAX in that strings are case-sensitive, and from PyTorch in that
    low and high may differ.
    """
    ndim = len(sizes)
    reaches = [d * (k - 1) for k, d in zip(window, dilation, strict=True)]
    if isinstance(padding, str):
        return _named_pairs(padding, name, sizes, reaches, strides)
    wanted = (
        f"wanted one of {_CHOICES}, an int, or a sequence with an int or a (low, high) "
        f"pair for each of the {ndim} spatial axes"
    )
    single = int_or_none(padding)
    entries = [single] * ndim if single is not None else list_or_none(padding)
    pairs = None if entries is None else [_as_pair(entry) for entry in entries]
    if pairs is None or any(pair is None for pair in pairs):
        raise TypeError(f"`{name}` is {padding!r}; {wanted}.")
    if len(pairs) != ndim:
        raise ValueError(
            f"`{name}` is {padding!r}, of length {len(pairs)}; {wanted}, pairs nested."
        )
    found = tuple(pair for pair in pairs if pair)
    if any(min(pair) < 0 for pair in found):
        raise ValueError(
            f"`{name}` is {padding!r}; wanted no negative number. Slice to crop."
        )
    return found


def output_sizes(
    sizes: Sequence[int],
    pairs: Pairs,
    window: Sequence[int],
    strides: Sequence[int],
    dilation: Sequence[int],
) -> tuple[int, ...]:
    """Count the places of the window: `(n + low + high - d * (k - 1) - 1) // s + 1`.

    Raises:
        ValueError: If an axis has no place for the window.

    Example:
        >>> output_sizes([6], ((0, 1),), [3], [2], [1])
        (3,)
    """
    reaches = [d * (k - 1) + 1 for k, d in zip(window, dilation, strict=True)]
    totals = [n + sum(pair) for n, pair in zip(sizes, pairs, strict=True)]
    for axis, (total, reach) in enumerate(zip(totals, reaches, strict=True)):
        if total < reach:
            raise ValueError(
                f"The window spans {reach} elements of spatial axis {axis}, which has "
                f"{total} with its `padding`; wanted {reach} or more. Pad more, or "
                "take a smaller window or dilation."
            )
    return tuple(
        (total - reach) // stride + 1
        for total, reach, stride in zip(totals, reaches, strides, strict=True)
    )


def padded(
    x: Shaped[ArrayLike, "..."], pairs: Pairs, mode: str, *, fill: Any = 0.0
) -> Shaped[Array, "..."]:
    """Pad the spatial axes of `x (*batch, *spatial, channels)`.

    Args:
        x: Array whose `len(pairs)` axes before the last are spatial.
        pairs: `(low, high)` of each.
        mode: "zeros" pads with `fill`; "reflect" mirrors without repeating the edge
            (`c b | a b c`), "symmetric" mirrors and repeats it (`b a | a b c`),
            "replicate" repeats the edge (`a a | a b c`), "circular" takes the other
            end (`b c | a b c`).
        fill: The value of "zeros" padding, cast to the dtype of `x`.

    Raises:
        ValueError: If the mode is unknown or needs more elements than an axis has.

    Example:
        >>> import jax.numpy as jnp
        >>> padded(jnp.array([[1], [2], [3]]), ((2, 1),), "reflect").ravel()
        Array([3, 2, 1, 2, 3, 2], dtype=int32)
    """
    if mode not in PADDING_MODES:
        choices = ", ".join(map(repr, PADDING_MODES))
        raise ValueError(f"`padding_mode` is {mode!r}; wanted one of {choices}.")
    x = jnp.asarray(x)
    if not any(map(any, pairs)):
        return x
    first = x.ndim - 1 - len(pairs)
    widths = [(0, 0)] * first + list(pairs) + [(0, 0)]
    if mode == "zeros":
        config = [(low, high, 0) for low, high in widths]
        return jax.lax.pad(x, jnp.asarray(fill, x.dtype), config)
    _check_room(x.shape[first:-1], pairs, mode)
    return jnp.pad(x, widths, mode=_JNP_MODES[mode])


def fold_batch(
    x: Shaped[ArrayLike, "..."], spatial_ndim: int, name: str
) -> tuple[Shaped[Array, "..."], tuple[int, ...]]:
    """Flatten the batch axes of `x (*batch, *spatial, channels)`, also none, into one.

    Returns:
        `x` of shape `(prod(batch), *spatial, channels)`; `batch`, for `unfold_batch`.

    Raises:
        ValueError: If `x` has fewer than `spatial_ndim + 1` axes.

    Example:
        >>> import jax.numpy as jnp
        >>> folded, batch = fold_batch(jnp.zeros((2, 3, 8, 8, 1)), 2, "x")
        >>> folded.shape, batch
        ((6, 8, 8, 1), (2, 3))
    """
    x = jnp.asarray(x)
    batch_ndim = x.ndim - spatial_ndim - 1
    if batch_ndim < 0:
        raise ValueError(
            f"`{name}` has shape {x.shape}; wanted {spatial_ndim + 1} axes or more: "
            f"any number of batch axes, {spatial_ndim} spatial axes, channels."
        )
    batch = x.shape[:batch_ndim]
    # Not -1: an empty batch leaves it undetermined.
    return x.reshape((int(np.prod(batch)), *x.shape[batch_ndim:])), batch


def unfold_batch(
    y: Shaped[Array, "..."], batch: tuple[int, ...]
) -> Shaped[Array, "..."]:
    """Give the first axis of `y` its batch axes back, undoing `fold_batch`."""
    return y.reshape((*batch, *y.shape[1:]))


def _as_pair(entry: Any) -> tuple[int, int] | None:
    """Return an int `p` as `(p, p)` and a pair as it is; anything else is None."""
    single = int_or_none(entry)
    both = [single, single] if single is not None else list_or_none(entry)
    if both is None or len(both) != 2:
        return None
    low, high = map(int_or_none, both)
    return None if low is None or high is None else (low, high)


def _named_pairs(
    padding: str,
    name: str,
    sizes: Sequence[int],
    reaches: Sequence[int],
    strides: Sequence[int],
) -> Pairs:
    if padding not in STRING_PADDINGS:
        raise ValueError(f"`{name}` is {padding!r}; wanted one of {_CHOICES}.")
    if padding == "VALID":
        return ((0, 0),) * len(sizes)
    if padding == "CAUSAL":
        if len(sizes) != 1:
            raise ValueError(
                f"`{name}` is 'CAUSAL' with {len(sizes)} spatial axes; wanted one, "
                "since only time has a before. Give (low, high) pairs instead."
            )
        return ((reaches[0], 0),)
    pairs = []
    for n, reach, s in zip(sizes, reaches, strides, strict=True):
        total = max((-(-n // s) - 1) * s + reach + 1 - n, 0)
        less, more = total // 2, total - total // 2
        pairs.append((less, more) if padding == "SAME" else (more, less))
    return tuple(pairs)


def _check_room(sizes: Sequence[int], pairs: Pairs, mode: str) -> None:
    """Raise unless every axis has the elements that `mode` copies into the padding."""
    for axis, (n, pair) in enumerate(zip(sizes, pairs, strict=True)):
        room = max(n - 1, 0) if mode == "reflect" else n
        # "replicate" needs one element for any amount.
        if max(pair) > room and not (mode == "replicate" and n):
            raise ValueError(
                f"`padding_mode` is {mode!r} and `padding` {pair} on spatial axis "
                f"{axis} of {n} elements, which gives at most {room} on each side. "
                'Pad less, or take "zeros" or "replicate".'
            )
