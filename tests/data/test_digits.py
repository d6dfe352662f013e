import numpy as np
import pytest
from sklearn.datasets import load_digits

from jaxnets.data import Labelled, Splits, digits, digits_by_pixel


def as_rows(x):
    return {row.tobytes() for row in np.asarray(x, np.float32).reshape(len(x), -1)}


def test_the_splits_have_the_documented_shapes_and_dtypes():
    splits = digits()
    assert isinstance(splits, Splits)
    assert all(isinstance(part, Labelled) for part in splits)
    assert [len(part.x) for part in splits] == [1077, 360, 360]
    for x, y in splits:
        assert isinstance(x, np.ndarray) and isinstance(y, np.ndarray)
        assert (x.shape[1:], x.dtype) == ((8, 8, 1), np.float32)
        assert (y.shape, y.dtype) == (x.shape[:1], np.int32)
        assert (x.min(), x.max()) == (0.0, 1.0)


def test_every_image_is_in_exactly_one_split_with_its_label():
    data, labels = (np.asarray(part) for part in load_digits(return_X_y=True))
    wanted = {(row / 16).astype(np.float32).tobytes() for row in data}
    parts = [as_rows(part.x) for part in digits()]
    assert set.union(*parts) == wanted
    assert sum(len(part) for part in parts) == len(wanted) == 1797
    label_of = {
        (row / 16).astype(np.float32).tobytes(): label
        for row, label in zip(data, labels, strict=True)
    }
    for x, y in digits():
        assert [label_of[np.asarray(row).tobytes()] for row in x] == list(y)


def test_the_split_is_stratified():
    everything = np.bincount(np.concatenate([part.y for part in digits()])) / 1797
    for part in digits():
        share = np.bincount(part.y) / len(part.y)
        np.testing.assert_allclose(share, everything, atol=1.5 / len(part.y))


def test_the_split_depends_on_the_seed_only():
    first, again, other = digits(seed=3), digits(seed=3), digits(seed=4)
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.x, two.x)
        np.testing.assert_array_equal(one.y, two.y)
    assert as_rows(first.test.x) != as_rows(other.test.x)


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_pixels_are_read_row_by_row(part):
    image, label = getattr(digits(seed=1), part)
    sequence, same_label = getattr(digits_by_pixel(seed=1), part)
    assert sequence.shape == (len(image), 64, 1)
    for row, column in [(0, 0), (0, 5), (3, 2), (7, 7)]:
        np.testing.assert_array_equal(
            sequence[:, 8 * row + column, 0], image[:, row, column, 0]
        )
    np.testing.assert_array_equal(label, same_label)
