"""The contenders of a recurrence compute the same, in value and gradients."""

import os

import jax
import numpy as np
import pytest

from jaxnets.bench.compiled.runs import with_kernels
from jaxnets.bench.pytorch.process import VARIABLE, TorchProcess
from jaxnets.bench.suites import recurrent
from jaxnets.functional import GRUParams
from tests.bench.tiny import CHECKPOINT, FORMS, RECURRENCES


def computed(case):
    """Results of all contenders, from one program that is compiled once."""
    functions = {who: program.function for who, program in case.programs.items()}
    arguments = {who: program.arguments for who, program in case.programs.items()}
    run = jax.jit(lambda all: {who: f(*all[who]) for who, f in functions.items()})
    return run(arguments)


def assert_equal(ours, other, tolerance):
    for a, b in zip(ours, other, strict=True):
        a, b = np.asarray(a, np.float32), np.asarray(b, np.float32)
        atol = tolerance * np.abs(a).max()
        np.testing.assert_allclose(b, a, rtol=tolerance, atol=atol)


def recurrences_of(params):
    """Parameters of each layer and direction, in order."""
    if hasattr(params, "w_xh"):
        return [params]
    return [one for layer in params for one in layer]


@pytest.mark.parametrize("row", RECURRENCES, ids=lambda row: row.name)
def test_ours_and_flax_agree(row):
    forward, gradients = recurrent.cases(row)
    assert [forward.direction, gradients.direction] == ["forward", "gradients"]
    assert list(forward.programs) == list(gradients.programs) == ["ours", "flax"]
    assert forward.in_torch and gradients.in_torch
    results = computed(gradients)
    value, params, x = results["ours"]
    their_value, their_params, their_x = results["flax"]
    dtype = row.spec["dtype"]
    sizes = tuple(row.spec[name] for name in ("batch", "time", "in_features"))
    assert (x.shape, value.dtype, x.dtype) == (sizes, dtype, dtype)
    ours = [value, x]
    for one in recurrences_of(params):
        ours += [one.w_xh, one.w_hh, one.b]
    theirs = [their_value, their_x]
    for cell in flax_cells(their_params):
        i, h = cell["dense_i"], cell["dense_h"]
        biased = h if "bias" in h else i
        theirs += [part[...] for part in (i["kernel"], h["kernel"], biased["bias"])]
    assert_equal(ours, theirs, 5e-2 if dtype == "bfloat16" else 1e-5)


def flax_cells(state):
    if "cell" in state:
        return [state["cell"]]
    directions = ("forward_rnn", "backward_rnn")
    layers = state["layers"]
    return [layers[n][way]["cell"] for n in sorted(layers) for way in directions]


def test_checkpoints_change_no_gradient():
    (case,) = recurrent.cases(CHECKPOINT)
    assert (case.direction, case.in_torch) == ("gradients", False)
    assert list(case.programs) == ["ours", "stored"]
    # `checkpoint` has an effect: the loop over segments has a loop within.
    inner = {
        w: str(jax.make_jaxpr(p.function)(*p.arguments)).count("scan[")
        for w, p in case.programs.items()
    }
    assert inner["ours"] > inner["stored"]
    ours, stored = map(jax.tree.leaves, computed(case).values())
    assert_equal(ours, stored, 1e-5)


@pytest.mark.parametrize("row", FORMS, ids=lambda row: row.name)
def test_every_form_of_a_cell_is_timed(row):
    _, case = recurrent.cases(row)
    assert len(case.programs) > 2 and case.programs.keys() < {"ours", *recurrent.FORMS}
    ours, *others = map(jax.tree.leaves, computed(case).values())
    for other in others:
        assert_equal(ours, other, 1e-5)


def test_the_kernel_is_a_form_where_it_is_compiled_for_a_chip():
    loop, parallel = (with_kernels(row) for row in FORMS)
    found = [next(recurrent.cases(row)).programs.keys() for row in (loop, parallel)]
    assert "pallas" in found[0] and "pallas" not in found[1]
    assert with_kernels(RECURRENCES[0]) == RECURRENCES[0]


@pytest.fixture(scope="module")
def torch():
    python = os.environ.get(VARIABLE)
    if not python:
        pytest.skip(f"{VARIABLE} names no interpreter that has PyTorch")
    with TorchProcess(python, "cpu", 1) as process:
        yield process


@pytest.mark.parametrize(
    "row",
    [row for row in RECURRENCES if row.spec["dtype"] == "float32"],
    ids=lambda row: row.name,
)
def test_pytorch_computes_the_same(row, torch):
    case = tuple(recurrent.cases(row))[1]
    cotangent, params, x = case.programs["ours"].arguments
    if isinstance(params, GRUParams):
        # PyTorch has this bias, so it is tested with a value that is not zero.
        params = params._replace(b_hn=params.b[: row.spec["hidden"]])
    arrays = [x, *jax.tree.leaves(params), cotangent]
    torch.prepare(case, [np.asarray(array).tolist() for array in arrays])
    answers = torch.ask({"do": "outputs"})["outputs"]
    value, gradients, x = jax.jit(case.programs["ours"].function)(cotangent, params, x)
    ours = [value, x]
    for one in recurrences_of(gradients):
        # PyTorch has two biases for our one, which get the same gradient, except for
        # the candidate of a GRU, where we have two as well.
        b_hh = one.b
        if isinstance(one, GRUParams):
            b_hh = b_hh.at[-row.spec["hidden"] :].set(one.b_hn)
        ours += [one.w_xh.T, one.w_hh.T, one.b, b_hh]
    assert_equal(ours, answers, 1e-5)
