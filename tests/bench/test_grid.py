"""The grids: they have all agreed rows, and options choose among them."""

import pytest

from jaxnets.bench.grid import chosen_rows, read_grid
from jaxnets.bench.options import SUITES, Options


# (batch, *spatial), channels, features, window, strides, dilation, groups.
CONVOLUTIONS = {
    ((32, 32, 32), 16, 16, 3, 1, 1, 1),
    ((32, 16, 16), 64, 64, 3, 1, 1, 1),
    ((32, 8, 8), 256, 256, 3, 1, 1, 1),
    ((32, 32, 32), 3, 64, 3, 1, 1, 1),
    ((32, 32, 32), 64, 128, 3, 2, 1, 1),
    ((8, 112, 112), 64, 64, 3, 1, 1, 1),
    ((32, 16, 16), 64, 64, 1, 1, 1, 1),
    ((32, 16, 16), 64, 128, 1, 2, 1, 1),
    ((32, 16, 16), 64, 64, 3, 1, 2, 1),
    ((32, 16, 16), 64, 64, 3, 1, 1, 4),
    ((32, 16, 16), 256, 256, 3, 1, 1, 32),
    ((32, 16, 16), 64, 64, 3, 1, 1, 64),
    ((32, 16, 16), 64, 64, 7, 1, 1, 64),
    ((32, 1000), 64, 64, 3, 1, 1, 1),
    ((4, 16, 16, 16), 16, 32, 3, 1, 1, 1),
}
POOLS = {
    ((32, 32, 32), 64, 2, 2),
    ((32, 32, 32), 64, 3, 2),
    ((8, 112, 112), 64, 3, 2),
    ((32, 32, 32), 64, 3, 1),
    ((32, 64, 64), 16, 8, 8),
}


def sizes(spec, *names):
    return ((spec["batch"], *spec["spatial"]), *(spec[name] for name in names))


def convolutions(**wanted):
    """Sizes of the plain convolutions that have the wanted dtype and layers."""
    names = ("channels", "features", "window", "strides", "dilation", "groups")
    wanted = {"function": "conv", "dtype": "float32", "layers": None} | wanted
    specs = [row.spec for row in read_grid("ops")]
    return {sizes(s, *names) for s in specs if wanted.items() <= s.items()}


def test_the_grid_has_every_operation():
    assert convolutions() == CONVOLUTIONS
    rows = read_grid("ops")
    for function in ("max_pool", "avg_pool"):
        specs = [row.spec for row in rows if row.spec["function"] == function]
        assert {sizes(s, "channels", "window", "strides") for s in specs} == POOLS
    (transposed,) = (r for r in rows if r.spec["function"] == "conv_transpose")
    names = ("channels", "features", "window", "strides")
    assert sizes(transposed.spec, *names) == ((32, 16, 16), 64, 32, 4, 2)


def test_what_keeps_its_shape_is_also_in_a_scan():
    keeps_shape = {c for c in CONVOLUTIONS if c[1] == c[2] and c[4] == 1}
    assert convolutions(layers=8) == keeps_shape


def test_four_convolutions_are_also_in_bfloat16():
    bfloat16 = convolutions(dtype="bfloat16")
    assert len(bfloat16) == 4 and bfloat16 < CONVOLUTIONS


def test_the_networks_are_resnet_20_for_cifar_and_an_lstm():
    images, sequences, *epochs = read_grid("training")
    names = [f"{row.name} updates16" for row in (images, sequences)]
    assert [row.name for row in epochs] == names
    assert images.name == "resnet 64x32x32x3 classes10 depth20"
    assert sequences.name == "many_to_one 64x128x32-128 classes10"
    assert images.spec["dtype"] == sequences.spec["dtype"] == "float32"


# (batch, time, in_features, hidden).
RECURRENCES = {
    (32, 128, 128, 128),
    (32, 512, 128, 128),
    (64, 100, 256, 512),
    (1, 784, 1, 128),
    (32, 2000, 32, 64),
    (128, 50, 300, 300),
}


def test_the_grid_has_every_recurrence():
    rows = read_grid("recurrent")
    names = ("batch", "time", "in_features", "hidden")
    found = {row.group: set() for row in rows}
    for row in rows:
        found[row.group].add(tuple(row.spec[name] for name in names))
    assert found.pop("checkpoint") == {(8, 16384, 128, 128), (1, 100000, 64, 64)}
    assert found.pop("bidirectional") == {(32, 128, 128, 128)}
    assert found.pop("forms") == RECURRENCES
    assert found == dict.fromkeys(("rnn", "gru", "lstm"), RECURRENCES)
    assert [
        row.name for row in rows if row.group in ("bidirectional", "checkpoint")
    ] == [
        "bidirectional_lstm 32x128x128-128 depth2",
        "lstm 8x16384x128-128 checkpoint=sqrt",
        "lstm 8x16384x128-128 checkpoint=sqrt time_major",
        "lstm 1x100000x64-64 checkpoint=sqrt time_major",
    ]
    assert rows[0].name == "rnn 32x128x128-128"


@pytest.mark.parametrize("suite", SUITES)
def test_names_tell_rows_apart(suite):
    names = [row.name for row in read_grid(suite)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("7 g64", ["conv 32x16x16x64-64 k7 g64", "scan8 conv 32x16x16x64-64 k7 g64"]),
        ("conv_1d,3d", ["conv 32x1000x64-64 k3", "conv 4x16x16x16x16-32 k3"]),
        ("max*k8", ["max_pool 32x64x64x16 k8 s8"]),
        ("transpose", ["conv_transpose 32x16x16x64-32 k4 s2"]),
    ],
)
def test_rows_are_chosen_by_name_or_group(pattern, names):
    assert [row.name for row in chosen_rows(Options(rows=pattern))] == names


def test_batch_and_dtype_replace_those_of_the_grid():
    rows = chosen_rows(Options(batch=2, dtype="bfloat16"))
    assert {row.spec["batch"] for row in rows} == {2}
    # Four rows are in bfloat16 already and would appear twice.
    assert len(rows) == len(read_grid("ops")) - 4
    assert len({row.name for row in rows}) == len(rows)
