"""Pooling by plain loops in float64, from the definitions alone."""

import itertools
import math

import numpy as np


def axis_pairs(padding, sizes, window, strides, dilation):
    """One (low, high) pair per axis of any padding option."""
    pairs = []
    for axis, (n, k, s, d) in enumerate(
        zip(sizes, window, strides, dilation, strict=True)
    ):
        if padding in ("SAME", "SAME_LOWER"):
            total = max((math.ceil(n / s) - 1) * s + d * (k - 1) + 1 - n, 0)
            less, more = total // 2, total - total // 2
            pairs.append((less, more) if padding == "SAME" else (more, less))
        elif padding == "VALID":
            pairs.append((0, 0))
        elif padding == "CAUSAL":
            pairs.append((d * (k - 1), 0))
        elif isinstance(padding, int):
            pairs.append((padding, padding))
        else:
            entry = padding[axis]
            pairs.append((entry, entry) if isinstance(entry, int) else tuple(entry))
    return pairs


def out_size(n, pair, k, s, d, ceil_mode):
    low, high = pair
    room = n + low + high - (d * (k - 1) + 1)
    if not ceil_mode:
        return math.floor(room / s) + 1
    out = math.ceil(room / s) + 1
    return out - 1 if (out - 1) * s >= n + low else out


def source(place, n, pair, mode):
    """What stands at a place of an axis: an index of `x`, or None for the identity."""
    if 0 <= place < n:
        return place
    low, high = pair
    if mode == "zeros" or not -low <= place < n + high:
        return None
    if mode == "replicate":
        return 0 if place < 0 else n - 1
    if mode == "circular":
        return place % n
    if mode == "symmetric":
        place %= 2 * n
        return place if place < n else 2 * n - 1 - place
    place %= 2 * (n - 1)
    return place if place < n else 2 * (n - 1) - place


def windows(
    sizes, window, strides=None, padding="VALID", mode="zeros", dilation=None,
    ceil_mode=False, count_include_pad=True,
):  # fmt: skip
    """Yield each output index with the indices that it sees and their count."""
    strides = strides or window
    dilation = dilation or (1,) * len(sizes)
    pairs = axis_pairs(padding, sizes, window, strides, dilation)
    ceil_mode = ceil_mode and padding not in ("SAME", "SAME_LOWER")
    options = list(zip(sizes, pairs, window, strides, dilation, strict=True))
    out = [out_size(*axis, ceil_mode) for axis in options]
    for index in itertools.product(*map(range, out)):
        seen, count = [], 0
        for tap in itertools.product(*map(range, window)):
            places = [
                i * s + t * d - low
                for i, t, (_, (low, _), _, s, d) in zip(
                    index, tap, options, strict=True
                )
            ]
            inside = [0 <= p < n for p, (n, *_) in zip(places, options, strict=True)]
            padded = [
                -low <= p < n + high
                for p, (n, (low, high), *_) in zip(places, options, strict=True)
            ]
            count += all(padded if count_include_pad else inside)
            origin = [
                source(p, n, pair, mode)
                for p, (n, pair, *_) in zip(places, options, strict=True)
            ]
            if None not in origin and (count_include_pad or all(inside)):
                seen.append(tuple(origin))
        yield index, seen, count


def pool(kind, x, cotangent, window, divisor=None, **options):
    """Pool `x (B, *spatial, C)`: the value, and what `cotangent` gives back.

    `cotangent(shape)` makes the cotangent of the output, once its shape is known.
    """
    ndim = len(window)
    x = np.asarray(x, np.float64)
    cells = list(windows(x.shape[1 : 1 + ndim], window, **options))
    out = [last + 1 for last in cells[-1][0]]
    y = np.zeros((x.shape[0], *out, x.shape[-1]))
    g = cotangent(y.shape)
    back = np.zeros_like(x)
    for b, c in itertools.product(range(x.shape[0]), range(x.shape[-1])):
        for index, seen, count in cells:
            here = (b, *index, c)
            places = [(b, *place, c) for place in seen]
            if kind == "max":
                y[here], first = first_maximum([x[place] for place in places])
                if first is not None:
                    back[places[first]] += g[here]
                continue
            weight = 1.0
            if kind == "avg":
                weight = 1.0 / (divisor or max(count, 1))
            for place in places:
                y[here] += weight * x[place]
                back[place] += weight * g[here]
    return y, back


def first_maximum(values):
    """The maximum and its first position; a NaN is larger than every number."""
    best, first = -np.inf, None
    for position, value in enumerate(values):
        if first is None or (not np.isnan(best) and not value <= best):
            best, first = value, position
    return best, first
