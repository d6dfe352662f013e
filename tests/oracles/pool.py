"""Pooling by plain loops in float64, from the definitions."""

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


def source(index, n, pair, mode):
    """The index of `x` that a padded axis reads at `index`; None is the identity."""
    if 0 <= index < n:
        return index
    low, high = pair
    if mode == "zeros" or not -low <= index < n + high:
        return None
    if mode == "replicate":
        return 0 if index < 0 else n - 1
    if mode == "circular":
        return index % n
    if mode == "symmetric":
        index %= 2 * n
        return index if index < n else 2 * n - 1 - index
    index %= 2 * (n - 1)
    return index if index < n else 2 * (n - 1) - index


def windows(
    sizes, window, strides=None, padding="VALID", mode="zeros", dilation=None,
    ceil_mode=False, count_include_pad=True,
):  # fmt: skip
    """Yield each window's position, the indices of its elements, and their count."""
    strides = strides or window
    dilation = dilation or (1,) * len(sizes)
    pairs = axis_pairs(padding, sizes, window, strides, dilation)
    ceil_mode = ceil_mode and padding not in ("SAME", "SAME_LOWER")
    options = list(zip(sizes, pairs, window, strides, dilation, strict=True))
    out = [out_size(*axis, ceil_mode) for axis in options]
    for position in itertools.product(*map(range, out)):
        elements, count = [], 0
        for offset in itertools.product(*map(range, window)):
            padded_index = [
                i * s + o * d - low
                for i, o, (_, (low, _), _, s, d) in zip(
                    position, offset, options, strict=True
                )
            ]
            axes = list(zip(padded_index, options, strict=True))
            inside = [0 <= p < n for p, (n, *_) in axes]
            padded = [-low <= p < n + high for p, (n, (low, high), *_) in axes]
            count += all(padded if count_include_pad else inside)
            origin = [source(p, n, pair, mode) for p, (n, pair, *_) in axes]
            if None not in origin and (count_include_pad or all(inside)):
                elements.append(tuple(origin))
        yield position, elements, count


def adaptive_windows(sizes, out):
    """The windows of adaptive pooling, as `windows` yields them."""
    for position in itertools.product(*map(range, out)):
        reads = [
            range(math.floor(i * n / m), math.ceil((i + 1) * n / m))
            for i, n, m in zip(position, sizes, out, strict=True)
        ]
        elements = list(itertools.product(*reads))
        yield position, elements, len(elements)


def fractional_windows(sizes, window, out, samples):
    """The windows of fractional pooling with a sample per axis, in exact fractions."""
    starts = []
    for n, k, m, u in zip(sizes, window, out, samples, strict=True):
        u = Fraction(float(u))
        step = Fraction(n - k, max(m - 1, 1))
        inner = [
            math.floor((i + u) * step) - math.floor(u * step) for i in range(m - 1)
        ]
        starts.append([*inner, n - k])
    for position in itertools.product(*map(range, out)):
        reads = [
            range(first[i], first[i] + k)
            for i, first, k in zip(position, starts, window, strict=True)
        ]
        elements = list(itertools.product(*reads))
        yield position, elements, len(elements)


def pool(kind, x, cotangent, window, divisor=None, p=None, **options):
    """Pool `x (B, *spatial, C)`; return the value and the gradient of `x`.

    `cotangent(shape)` makes the cotangent of the output, once its shape is known.
    """
    found = list(windows(np.shape(x)[1 : 1 + len(window)], window, **options))
    y, dx, _ = over_windows(kind, x, cotangent, lambda b, c: found, divisor, p)
    return y, dx


def over_windows(kind, x, cotangent, windows_of, divisor=None, p=None):
    """Reduce each of `windows_of(b, c)`; return value, gradient, indices of maxima."""
    x = np.asarray(x, np.float64)
    sizes = x.shape[1:-1]
    out = [last + 1 for last in list(windows_of(0, 0))[-1][0]]
    y = np.zeros((x.shape[0], *out, x.shape[-1]))
    indices = np.full(y.shape, -1)
    dy = cotangent(y.shape)
    dx = np.zeros_like(x)
    for b, c in itertools.product(range(x.shape[0]), range(x.shape[-1])):
        for position, elements, count in windows_of(b, c):
            here = (b, *position, c)
            values = np.array([x[(b, *element, c)] for element in elements])
            y[here], slopes = reduced(kind, values, divisor or max(count, 1), p)
            for element, slope in zip(elements, slopes, strict=True):
                if slope:
                    dx[(b, *element, c)] += slope * dy[here]
            if kind == "max" and elements:
                first = elements[int(np.argmax(slopes))]
                indices[here] = np.ravel_multi_index(first, sizes)
    return y, dx, indices


def reduced(kind, values, divisor, p):
    """The value of one window, and its derivative by each element."""
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
    """Write `y (B, *out, C)` to `indices`; return the value and the gradient of `y`."""
    y = np.asarray(y, np.float64)
    batch, *_, channels = y.shape
    out = np.zeros((batch, *spatial_shape, channels))
    dout = cotangent(out.shape)
    dy = np.zeros_like(y)
    for here in np.ndindex(*y.shape):
        if indices[here] >= 0:
            index = np.unravel_index(indices[here], spatial_shape)
            there = (here[0], *index, here[-1])
            out[there] = y[here]
            dy[here] = dout[there]
    return out, dy


def first_maximum(values):
    """The maximum and its first index; a NaN is larger than every number."""
    best, first = -np.inf, None
    for i, value in enumerate(values):
        if first is None or (not np.isnan(best) and not value <= best):
            best, first = value, i
    return best, first
