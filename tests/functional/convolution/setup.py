"""Random options of convolutions, for the functions and for the oracle."""

from hypothesis import strategies as st

from jaxnets.functional.shared.windows import PADDING_MODES
from tests.oracles import conv as oracle


@st.composite
def geometries(draw, *, gaps_up_to, strides_up_to=3):
    """Draw a window, sizes, options and the oracle's geometry for 1 to 3 spatial axes.

    `gaps_up_to` is the largest dilation of the input; with 1 there is no such option.
    """
    ndim = draw(st.integers(1, 3))
    ints = lambda low, high: tuple(draw(st.integers(low, high)) for _ in range(ndim))
    window, strides = ints(1, 3), ints(1, strides_up_to)
    gaps, dilations = ints(1, gaps_up_to), ints(1, 2)
    reaches = [d * (k - 1) for k, d in zip(window, dilations, strict=True)]
    extra = ints(1, 3 if ndim < 3 else 2)
    sizes = tuple(r + e for r, e in zip(reaches, extra, strict=True))
    dilated = [(n - 1) * g + 1 for n, g in zip(sizes, gaps, strict=True)]
    names = ["SAME", "SAME_LOWER", "VALID", "pairs", "ints"]
    padding = draw(st.sampled_from(names + ["CAUSAL"] * (ndim == 1)))
    if padding in ("SAME", "SAME_LOWER"):
        axes = zip(dilated, strides, reaches, strict=True)
        pairs = tuple(oracle.same_pads(*a, padding == "SAME_LOWER") for a in axes)
    elif padding == "pairs":
        pads = [ints(0, min(2, min(dilated) - 1)) for _ in range(2)]
        padding = pairs = tuple(zip(*pads, strict=True))
    elif padding == "ints":
        padding = ints(0, min(2, min(dilated) - 1))
        pairs = tuple((p, p) for p in padding)
    else:
        pairs = tuple((r if padding == "CAUSAL" else 0, 0) for r in reaches)
    mode = draw(st.sampled_from(PADDING_MODES))
    options = {
        "strides": strides,
        "padding": padding,
        "padding_mode": mode,
        "kernel_dilation": dilations,
    }
    if gaps_up_to > 1:
        options["input_dilation"] = gaps
    geometry = oracle.Geometry(strides, pairs, gaps, dilations, mode)
    return window, sizes, options, geometry
