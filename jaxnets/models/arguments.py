"""Checks of the arguments that several networks share.

A constructor takes what the weights depend on: the whole shape of an image for
`ConvNet`, its channels for `PlainNet` and `ResNet`, and the number of features for
`MLP`. If one gets what another takes, the error names the right call.
"""

import math
from typing import Any

from jaxnets.arguments import as_count, int_or_none, list_or_none


def as_image_shape(value: Any) -> tuple[int, int, int]:
    """Return `image_shape` as `(height, width, channels)`.

    Raises:
        TypeError: If it is not a sequence of ints.
        ValueError: If it does not have three entries, or one is below 1.
    """
    wanted = (
        "wanted (height, width, channels), on which the weights of the fully connected "
        "layer depend, such as `ConvNet((8, 8, 1), 10, rngs=rngs)`"
    )
    sizes = list_or_none(value)
    if sizes is None or any(int_or_none(size) is None for size in sizes):
        raise TypeError(f"`image_shape` is {value!r}; {wanted}.")
    if len(sizes) != 3 or min(sizes) < 1:
        gray = len(sizes) == 2
        remedy = " Gray images have 1 channel: (height, width, 1)." if gray else ""
        raise ValueError(f"`image_shape` is {value!r}; {wanted}.{remedy}")
    height, width, channels = map(int, sizes)
    return height, width, channels


def as_features(value: Any, meaning: str, of_shape: str) -> int:
    """Return `in_features` as an int of at least 1.

    Args:
        value: The user's argument.
        meaning: What it is.
        of_shape: The call for the shape of an example, with fields `{last}` and
            `{product}`.

    Raises:
        TypeError: If `value` is not an int.
        ValueError: If it is below 1.
    """
    sizes = list_or_none(value)
    if sizes and all(int_or_none(size) is not None for size in sizes):
        call = of_shape.format(last=sizes[-1], product=math.prod(sizes))
        raise TypeError(
            f"`in_features` is {value!r}; wanted an int: {meaning}. For examples of "
            f"this shape: `{call}`."
        )
    return as_count(value, "in_features", meaning=meaning)


def as_widths(value: Any, part: str, *, least: int = 1) -> tuple[int, ...]:
    """Return `widths`, one for each part of the network, such as "stage".

    Raises:
        TypeError: If it is not a sequence of ints.
        ValueError: If it has fewer than `least` entries, or one is below 1.
    """
    widths = list_or_none(value)
    if widths is None:
        raise TypeError(
            f"`widths` is {value!r}; wanted a sequence with one int for each {part}, "
            "such as (16, 32)."
        )
    if len(widths) < least:
        raise ValueError(f"`widths` is empty; wanted one width for each {part}.")
    return tuple(as_count(w, f"widths[{k}]") for k, w in enumerate(widths))
