"""Window options of convolutions and pools, parsed once to a canonical form.

Options such as `strides=2` and `padding="SAME"` become one int or one `(low, high)`
pair per spatial axis of `x (*batch, *spatial, channels)`. The errors for bad values are
raised here too.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax.core import max_dim, min_dim
from jaxtyping import Array, Shaped

from jaxnets.arguments import int_or_none, list_or_none
from jaxnets.functional.shared.sizes import Size, definitely, is_known
from jaxnets.typing import ArrayLike


if TYPE_CHECKING:
    PerAxis = int | Sequence[int]
    Padding = str | int | Sequence[int | tuple[int, int]]
else:
    # Tests enforce annotations; precise ones would raise before our own messages do.
    PerAxis = Padding = Any

Pairs = tuple[tuple[Size, Size], ...]

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
    value: PerAxis, ndim: int, name: str, *, minimum: int = 1, optional: bool = False
) -> tuple[Size, ...]:
    """Turn an int, or one int per axis, into a tuple of `ndim` ints.

    `name` is the name of the caller's option, `minimum` the smallest int accepted. If
    `optional`, an axis may have None, which is kept.

    Raises:
        TypeError: If `value` is neither an int nor a sequence of ints.
        ValueError: If its length is not `ndim`, or an int is less than `minimum`.

    Example:
        >>> per_axis(2, 3, "strides")
        (2, 2, 2)
    """
    wanted = f"wanted an int or {ndim} ints, one per spatial axis"
    kept = lambda v: optional and v is None
    single = int_or_none(value)
    values = [single] * ndim if single is not None else list_or_none(value)
    if values is None or any(int_or_none(v) is None and not kept(v) for v in values):
        raise TypeError(f"`{name}` is {value!r}; {wanted}.")
    if len(values) != ndim:
        raise ValueError(f"`{name}` is {value!r}, of length {len(values)}; {wanted}.")
    numbers = tuple(v if kept(v) else int(v) for v in values)
    if min((n for n in numbers if not kept(n)), default=minimum) < minimum:
        raise ValueError(
            f"`{name}` is {value!r}; wanted {minimum} or more on every axis."
        )
    return numbers


def padding_pairs(
    padding: Padding,
    *,
    name: str = "padding",
    sizes: Sequence[Size],
    window: Sequence[Size],
    strides: Sequence[Size],
    dilation: Sequence[Size],
) -> Pairs:
    """Turn a padding option into one `(low, high)` pair per spatial axis.

    On an axis of n elements with window k, stride s and dilation d, SAME pads
    `max((ceil(n / s) - 1) * s + d * (k - 1) + 1 - n, 0)` elements in total, so that the
    output has `ceil(n / s)`. If the total is odd, SAME puts one more at the high end,
    SAME_LOWER at the low end. CAUSAL pads `d * (k - 1)` at the low end, so that no
    output depends on a later input.

    Args:
        padding: "SAME", "SAME_LOWER", "VALID", "CAUSAL" (one spatial axis only), an
            int, or a sequence with an int or a `(low, high)` pair per axis. `(1, 2)`
            is one int per axis; pairs are nested, even on one axis: `((1, 2),)`.
        name: The name of the caller's option, for error messages.
        sizes: Sizes of the spatial axes.
        window: Sizes of the window before dilation.
        strides: One per axis.
        dilation: One per axis.

    Raises:
        TypeError: If `padding` has another type.
        ValueError: If the string is unknown, the length is wrong or a number is
            negative.

    Example:
        >>> padding_pairs("SAME", sizes=[6], window=[3], strides=[2], dilation=[1])
        ((0, 1),)

    Unlike in JAX, strings are case-sensitive; unlike in PyTorch, low and high may
    differ.
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
            f"`{name}` is {padding!r}; wanted no negative number. To crop, slice `x`."
        )
    return found


def output_sizes(
    sizes: Sequence[Size],
    pairs: Pairs,
    window: Sequence[Size],
    strides: Sequence[Size],
    dilation: Sequence[Size],
) -> tuple[Size, ...]:
    """Count the window's positions: `(n + low + high - d * (k - 1) - 1) // s + 1`.

    Raises:
        ValueError: If the window does not fit into an axis.

    Example:
        >>> output_sizes([6], ((0, 1),), [3], [2], [1])
        (3,)
    """
    reaches = [d * (k - 1) + 1 for k, d in zip(window, dilation, strict=True)]
    totals = [n + sum(pair) for n, pair in zip(sizes, pairs, strict=True)]
    for axis, (total, reach) in enumerate(zip(totals, reaches, strict=True)):
        if definitely(lambda n=total, k=reach: n < k):
            raise ValueError(
                f"The window spans {reach} elements of spatial axis {axis}, which has "
                f"{total} with its `padding`; wanted {reach} or more. The spatial axes "
                f"have sizes {tuple(sizes)}. Pad more, or use a smaller window or "
                "dilation."
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
            "replicate" repeats the edge (`a a | a b c`), "circular" wraps around from
            the other end (`b c | a b c`).
        fill: The value of "zeros" padding, cast to the dtype of `x`.

    Raises:
        ValueError: If the mode is unknown or needs more elements than an axis has.

    Example:
        >>> import jax.numpy as jnp
        >>> padded(jnp.array([[1], [2], [3]]), ((2, 1),), "reflect").ravel()
        Array([3, 2, 1, 2, 3, 2], dtype=int32)
    """
    check_padding_mode(mode)
    x = jnp.asarray(x)
    if not any(map(any, pairs)):
        return x
    first = x.ndim - 1 - len(pairs)
    widths = [(0, 0)] * first + list(pairs) + [(0, 0)]
    if mode == "zeros":
        config = [(low, high, 0) for low, high in widths]
        return jax.lax.pad(x, jnp.asarray(fill, x.dtype), config)
    sizes = x.shape[first:-1]
    _check_room(sizes, pairs, mode)
    if mode == "replicate" or (mode == "circular" and not is_known(*sizes)):
        return _joined(x, pairs, mode)
    return jnp.pad(x, widths, mode=_JNP_MODES[mode])


def check_padding_mode(mode: Any) -> None:
    """Raise a ValueError unless `mode`, the caller's `padding_mode`, is a known one."""
    if not isinstance(mode, str) or mode not in PADDING_MODES:
        choices = ", ".join(map(repr, PADDING_MODES))
        raise ValueError(f"`padding_mode` is {mode!r}; wanted one of {choices}.")


def _joined(x: jax.Array, pairs: Pairs, mode: str) -> jax.Array:
    """Pad by "replicate" or "circular", axis by axis.

    For "replicate" `jnp.pad` would slice the batch too, which may be sharded. For
    "circular" it raises an error for axes of symbolic size.
    """
    for axis, (low, high) in enumerate(pairs, x.ndim - 1 - len(pairs)):
        if definitely(lambda total=low + high: total == 0):
            continue
        n = x.shape[axis]
        slices = (
            [(0, 1), (n - 1, n)] if mode == "replicate" else [(n - low, n), (0, high)]
        )
        start, end = (jax.lax.slice_in_dim(x, *ends, axis=axis) for ends in slices)
        if mode == "replicate":
            start, end = jnp.repeat(start, low, axis), jnp.repeat(end, high, axis)
        x = jnp.concatenate([start, x, end], axis)
    return x


def flatten_batch(
    x: Shaped[ArrayLike, "..."], spatial_ndim: int, name: str
) -> tuple[Shaped[Array, "..."], tuple[Size, ...]]:
    """Reshape the batch axes of `x (*batch, *spatial, channels)` into a single one.

    Without batch axes the result has one, of size 1.

    Returns:
        `x` of shape `(prod(batch), *spatial, channels)`, and `batch`, which
        `restore_batch` takes.

    Raises:
        ValueError: If `x` has fewer than `spatial_ndim + 1` axes.

    Example:
        >>> import jax.numpy as jnp
        >>> flat, batch = flatten_batch(jnp.zeros((2, 3, 8, 8, 1)), 2, "x")
        >>> flat.shape, batch
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
    # The size is computed since -1 is ambiguous for an empty batch.
    return x.reshape((math.prod(batch), *x.shape[batch_ndim:])), batch


def restore_batch(
    y: Shaped[Array, "..."], batch: tuple[Size, ...]
) -> Shaped[Array, "..."]:
    """Reshape the first axis of `y` to the axes `batch`, undoing `flatten_batch`.

    Example:
        >>> import jax.numpy as jnp
        >>> restore_batch(jnp.zeros((6, 8, 8, 1)), (2, 3)).shape
        (2, 3, 8, 8, 1)
    """
    return y.reshape((*batch, *y.shape[1:]))


def _as_pair(entry: Any) -> tuple[Size, Size] | None:
    """Return `(p, p)` for an int `p`, a pair unchanged, and None for anything else."""
    single = int_or_none(entry)
    both = [single, single] if single is not None else list_or_none(entry)
    if both is None or len(both) != 2:
        return None
    low, high = map(int_or_none, both)
    return None if low is None or high is None else (low, high)


def _named_pairs(
    padding: str,
    name: str,
    sizes: Sequence[Size],
    reaches: Sequence[Size],
    strides: Sequence[Size],
) -> Pairs:
    if padding not in STRING_PADDINGS:
        raise ValueError(f"`{name}` is {padding!r}; wanted one of {_CHOICES}.")
    if padding == "VALID":
        return ((0, 0),) * len(sizes)
    if padding == "CAUSAL":
        if len(sizes) != 1:
            raise ValueError(
                f"`{name}` is 'CAUSAL' with {len(sizes)} spatial axes; wanted one, "
                "which is time. Pass (low, high) pairs instead."
            )
        return ((reaches[0], 0),)
    pairs = []
    for n, reach, s in zip(sizes, reaches, strides, strict=True):
        total = max_dim((-(-n // s) - 1) * s + reach + 1 - n, 0)
        less, more = total // 2, total - total // 2
        pairs.append((less, more) if padding == "SAME" else (more, less))
    return tuple(pairs)


def _check_room(sizes: Sequence[Size], pairs: Pairs, mode: str) -> None:
    """Raise if `mode` needs more elements of an axis than it has."""
    for axis, (n, pair) in enumerate(zip(sizes, pairs, strict=True)):
        room = n - 1 if mode == "reflect" else n
        # "replicate" needs a single element, however wide the padding is.
        least = max_dim(*pair)
        least = min_dim(least, 1) if mode == "replicate" else least
        if not definitely(lambda room=room, least=least: least == 0 or room >= least):
            wanted = f"'{n} >= {least + n - room}'"
            remedy = (
                f"allows at most {max(room, 0)} on each side. Pad less, or use "
                '"zeros" or "replicate".'
                if is_known(n)
                else f"may be too few. To export, pass `constraints=[{wanted}]` to "
                "`jax.export.symbolic_shape`."
            )
            raise ValueError(
                f"`padding_mode` is {mode!r} and `padding` {pair} on spatial axis "
                f"{axis} of {n} elements, which {remedy}"
            )
