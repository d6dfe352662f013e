"""Pooling by plain loops in float64, from the definitions alone."""

import itertools
import math
from fractions import Fraction

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


def adaptive_windows(sizes, out):
    """The cells of adaptive pooling, as `windows` yields them."""
    for index in itertools.product(*map(range, out)):
        reads = [
            range(math.floor(i * n / m), math.ceil((i + 1) * n / m))
            for i, n, m in zip(index, sizes, out, strict=True)
        ]
        seen = list(itertools.product(*reads))
        yield index, seen, len(seen)


def fractional_windows(sizes, window, out, samples):
    """The cells of fractional pooling with one sample per axis, in exact fractions."""
    starts = []
    for n, k, m, u in zip(sizes, window, out, samples, strict=True):
        u = Fraction(float(u))
        step = Fraction(n - k, max(m - 1, 1))
        inner = [
            math.floor((i + u) * step) - math.floor(u * step) for i in range(m - 1)
        ]
        starts.append([*inner, n - k])
    for index in itertools.product(*map(range, out)):
        reads = [
            range(first[i], first[i] + k)
            for i, first, k in zip(index, starts, window, strict=True)
        ]
        seen = list(itertools.product(*reads))
        yield index, seen, len(seen)


def pool(kind, x, cotangent, window, divisor=None, p=None, **options):
    """Pool `x (B, *spatial, C)`: the value, and what `cotangent` gives back.

    `cotangent(shape)` makes the cotangent of the output, once its shape is known.
    """
    cells = list(windows(np.shape(x)[1 : 1 + len(window)], window, **options))
    y, back, _ = over_cells(kind, x, cotangent, lambda b, c: cells, divisor, p)
    return y, back


def over_cells(kind, x, cotangent, cells_of, divisor=None, p=None):
    """Reduce each cell of `cells_of(b, c)`: value, what comes back, index of maxima."""
    x = np.asarray(x, np.float64)
    sizes = x.shape[1:-1]
    out = [last + 1 for last in list(cells_of(0, 0))[-1][0]]
    y = np.zeros((x.shape[0], *out, x.shape[-1]))
    indices = np.full(y.shape, -1)
    g = cotangent(y.shape)
    back = np.zeros_like(x)
    for b, c in itertools.product(range(x.shape[0]), range(x.shape[-1])):
        for index, seen, count in cells_of(b, c):
            here = (b, *index, c)
            values = np.array([x[(b, *place, c)] for place in seen])
            y[here], slopes = reduced(kind, values, divisor or max(count, 1), p)
            for place, slope in zip(seen, slopes, strict=True):
                if slope:
                    back[(b, *place, c)] += slope * g[here]
            if kind == "max" and seen:
                place = seen[int(np.argmax(slopes))]
                indices[here] = np.ravel_multi_index(place, sizes)
    return y, back, indices


def reduced(kind, values, divisor, p):
    """The value of one window, and its slope in each element."""
    if kind == "max":
        best, first = first_maximum(values)
        return best, [float(i == first) for i in range(len(values))]
    if kind == "avg":
        return values.sum() / divisor, [1.0 / divisor] * len(values)
    if kind == "sum":
        return values.sum(), [1.0] * len(values)
    if kind == "logsumexp":
        largest = max(values, default=-np.inf)
        if np.isinf(largest):
            return largest, [0.0] * len(values)
        shares = np.exp(values - largest)
        return largest + np.log(shares.sum()), shares / shares.sum()
    if p == np.inf:
        best, first = first_maximum(np.abs(values))
        signs = [np.sign(v) * (i == first) for i, v in enumerate(values)]
        return max(best, 0.0), signs
    norm = (np.abs(values) ** p).sum() ** (1 / p)
    slopes = [
        np.sign(v) * (abs(v) / norm) ** (p - 1) if v and norm else 0.0 for v in values
    ]
    return norm, slopes


def unpool(y, indices, cotangent, spatial_shape):
    """Put `y (B, *out, C)` to its places: the value, and what comes back."""
    y = np.asarray(y, np.float64)
    batch, *_, channels = y.shape
    out = np.zeros((batch, *spatial_shape, channels))
    g = cotangent(out.shape)
    back = np.zeros_like(y)
    for here in np.ndindex(*y.shape):
        if indices[here] >= 0:
            place = np.unravel_index(indices[here], spatial_shape)
            there = (here[0], *place, here[-1])
            out[there] = y[here]
            back[here] = g[there]
    return out, back


def first_maximum(values):
    """The maximum and its first position; a NaN is larger than every number."""
    best, first = -np.inf, None
    for position, value in enumerate(values):
        if first is None or (not np.isnan(best) and not value <= best):
            best, first = value, position
    return best, first
