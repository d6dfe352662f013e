import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxnets.functional.shared.windows import (
    PADDING_MODES,
    flatten_batch,
    output_sizes,
    padded,
    padding_pairs,
    per_axis,
    restore_batch,
)
from tests.oracles.conv import same_pads, source_index


def pairs_of(padding, sizes=(6, 7), window=(3, 2), strides=(2, 1), dilation=(1, 2)):
    return padding_pairs(
        padding, sizes=sizes, window=window, strides=strides, dilation=dilation
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (2, (2, 2)),
        ([1, 3], (1, 3)),
        (np.int64(4), (4, 4)),
        (np.array([1, 2]), (1, 2)),
        ((np.int32(5), 1), (5, 1)),
    ],
)
def test_per_axis_takes_ints_and_sequences(value, expected):
    result = per_axis(value, 2, "strides")
    assert result == expected
    assert all(type(number) is int for number in result)


@pytest.mark.parametrize(
    ("value", "error", "match"),
    [
        (2.0, TypeError, "`strides` is 2.0; wanted an int or 2 ints, one per spatial"),
        (True, TypeError, "`strides` is True; wanted an int"),
        (np.bool_(True), TypeError, "wanted an int"),
        ("22", TypeError, "`strides` is '22'"),
        (None, TypeError, "`strides` is None"),
        ((1, 2.5), TypeError, r"`strides` is \(1, 2.5\)"),
        ((1, 2, 3), ValueError, r"`strides` is \(1, 2, 3\), of length 3; wanted"),
        ((), ValueError, "of length 0"),
        (0, ValueError, "`strides` is 0; wanted 1 or more on every axis"),
        ((1, -1), ValueError, "wanted 1 or more"),
    ],
)
def test_per_axis_says_what_is_wrong(value, error, match):
    with pytest.raises(error, match=match):
        per_axis(value, 2, "strides")


@pytest.mark.parametrize(
    ("padding", "expected"),
    [
        ("SAME", ((0, 1), (1, 1))),
        ("SAME_LOWER", ((1, 0), (1, 1))),
        ("VALID", ((0, 0), (0, 0))),
        (1, ((1, 1), (1, 1))),
        ((1, 2), ((1, 1), (2, 2))),
        ([(0, 2), 1], ((0, 2), (1, 1))),
        (np.array([[0, 2], [3, 4]]), ((0, 2), (3, 4))),
    ],
)
def test_padding_takes_every_form(padding, expected):
    assert pairs_of(padding) == expected


def test_causal_padding_is_before_the_first_element():
    assert pairs_of("CAUSAL", [5], [4], [2], [3]) == ((9, 0),)
    assert pairs_of(((1, 2),), [5], [4], [2], [3]) == ((1, 2),)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    size=st.integers(1, 12),
    window=st.integers(1, 5),
    stride=st.integers(1, 5),
    dilation=st.integers(1, 3),
    lower=st.booleans(),
)
def test_same_keeps_the_size_over_the_stride(size, window, stride, dilation, lower):
    window_options = [window], [stride], [dilation]
    name = "SAME_LOWER" if lower else "SAME"
    pairs = pairs_of(name, [size], *window_options)
    assert pairs == (same_pads(size, stride, dilation * (window - 1), lower),)
    assert output_sizes([size], pairs, *window_options) == (-(-size // stride),)


@pytest.mark.parametrize(
    ("padding", "error", "match"),
    [
        ("same", ValueError, "`padding` is 'same'; wanted one of 'SAME', 'SAME_LOWER'"),
        ("CAUSAL", ValueError, "'CAUSAL' with 2 spatial axes; wanted one"),
        (1.5, TypeError, "`padding` is 1.5; wanted one of 'SAME'"),
        (True, TypeError, "`padding` is True"),
        (None, TypeError, "`padding` is None"),
        ((1, True), TypeError, "pair for each of the 2"),
        (((1, 2, 3), 1), TypeError, "pair for each"),
        ((1, "SAME"), TypeError, "pair for each"),
        ((1, 2, 3), ValueError, "of length 3; wanted"),
        (((1, 2),), ValueError, "of length 1; wanted"),
        (-1, ValueError, "`padding` is -1; wanted no negative number"),
        (((0, -1), 0), ValueError, "no negative number"),
    ],
)
def test_padding_says_what_is_wrong(padding, error, match):
    with pytest.raises(error, match=match):
        pairs_of(padding)


def test_flat_pair_on_one_axis_asks_for_nesting():
    with pytest.raises(ValueError, match=r"of length 2; wanted .* pairs nested"):
        pairs_of((1, 2), [5], [3], [1], [1])


def test_a_window_that_does_not_fit_is_an_error():
    with pytest.raises(ValueError, match="spans 5 elements of spatial axis 1, which"):
        output_sizes([9, 2], ((0, 0), (1, 1)), [3, 3], [1, 1], [1, 2])


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    size=st.integers(1, 6),
    amounts=st.tuples(st.integers(0, 6), st.integers(0, 6)),
    mode=st.sampled_from(PADDING_MODES),
)
def test_every_mode_reads_where_it_should(size, amounts, mode):
    room = {"reflect": size - 1, "symmetric": size, "circular": size}.get(mode, 6)
    low, high = (min(amount, room) for amount in amounts)
    x = np.arange(1.0, 2 * size + 1, dtype=np.float32).reshape(1, size, 2)
    sources = [source_index(p, size, mode) for p in range(-low, size + high)]
    expected = [[7.0, 7.0] if s is None else x[0, s] for s in sources]
    actual = padded(x, ((low, high),), mode, fill=7.0)
    np.testing.assert_array_equal(actual[0], np.stack(expected))


def test_padded_leaves_batch_and_channels_alone():
    x = jnp.ones((2, 3, 4, 5), jnp.int8)
    assert padded(x, ((1, 0), (0, 2)), "zeros", fill=-128).shape == (2, 4, 6, 5)
    assert padded(x, ((1, 0), (0, 2)), "symmetric").dtype == jnp.int8
    assert padded(x, ((0, 0), (0, 0)), "circular") is x


@pytest.mark.parametrize(
    ("mode", "amount", "match"),
    [
        ("reflect", 4, "`padding_mode` is 'reflect' .* axis 0 of 4 .* at most 3"),
        ("symmetric", 5, "at most 4 on each side"),
        ("circular", 5, "at most 4 on each side"),
        ("wrap", 1, "`padding_mode` is 'wrap'; wanted one of 'zeros', 'reflect'"),
    ],
)
def test_padded_says_what_is_wrong(mode, amount, match):
    with pytest.raises(ValueError, match=match):
        padded(jnp.ones((1, 4, 1)), ((amount, 0),), mode)


def test_replicate_needs_an_edge():
    with pytest.raises(ValueError, match="axis 0 of 0 elements"):
        padded(jnp.ones((1, 0, 1)), ((1, 0),), "replicate")


@pytest.mark.parametrize("batch", [(), (3,), (2, 3), (0, 2)])
def test_flatten_batch_and_restore_it(batch):
    x = jnp.ones((*batch, 5, 4, 2))
    flat, axes = flatten_batch(x, 2, "x")
    assert flat.shape == (int(np.prod(batch)), 5, 4, 2)
    assert restore_batch(flat, axes).shape == x.shape


def test_flatten_batch_wants_the_spatial_axes():
    with pytest.raises(ValueError, match=r"`x` has shape \(5, 2\); wanted 3 axes or"):
        flatten_batch(jnp.ones((5, 2)), 2, "x")
