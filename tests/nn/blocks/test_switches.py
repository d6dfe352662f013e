"""The switches of `nn.Block` against its formula, and what the methods promise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxnets import functional as F
from jaxnets import nn
from tests.nn import by_hand


def crelu(x):
    return np.concatenate([by_hand.relu(x), by_hand.relu(-x)], -1)


def group_norm(features, rngs):
    return nnx.GroupNorm(features, num_groups=1, rngs=rngs)


# Switches, and those of the formula that are not the default.
CASES = {
    "pre": ({"order": "pre", "norm": nn.BatchNorm}, {}),
    "pre-crelu-strided": (
        {"order": "pre", "activation": F.crelu, "strides": 2, "out_features": 5},
        {"f": crelu},
    ),
    "inner-one": (
        {"order": "inner", "layers": 1, "activation": jnp.tanh},
        {"f": np.tanh},
    ),
    "plain-one": (
        {"shortcut": False, "layers": 1, "activation": jnp.tanh},
        {"f": np.tanh},
    ),
    "learned": ({"learn_scale": True, "branch_scale": 0.3}, {}),
}


def drawn(block, rng):
    """Set all parameters at random; return pairs of weights and norms by layer."""
    state = nnx.state(block, nnx.Param)
    draw = lambda p: jnp.asarray(0.3 * rng.standard_normal(p.shape), jnp.float32)
    nnx.update(block, jax.tree.map(draw, state))
    weights, norms = [], []
    for name in block.branch.names:
        conv, norm = getattr(block.branch, name), getattr(block.branch, f"{name}_norm")
        bias = 0.0 if conv.bias is None else np.asarray(conv.bias[...], np.float64)
        weights.append((np.asarray(conv.kernel[...], np.float64), bias))
        arrays = (
            nnx.to_pure_dict(nnx.state(norm)) if isinstance(norm, nn.BatchNorm) else {}
        )
        norms.append((arrays["scale"], arrays["bias"]) if arrays else None)
    return weights, norms


@pytest.mark.parametrize(("switches", "formula"), CASES.values(), ids=CASES)
def test_a_block_is_its_formula(switches, formula, rng):
    switches = {"norm": None, "out_features": 3} | switches
    block = nn.Block(3, rngs=nnx.Rngs(0), **switches)
    weights, norms = drawn(block, rng)
    x = rng.standard_normal((2, 5, 4, 3))
    stride, order = switches.get("strides", 1), switches.get("order", "post")
    expected = by_hand.branch(x, weights, norms, stride, order, **formula)
    if block.shortcut:
        shortcut = by_hand.shortcut(x, stride, switches["out_features"])
        expected = shortcut + float(jnp.asarray(block.branch_scale)) * expected
    if order == "post":
        expected = formula.get("f", by_hand.relu)(expected)
    y = nnx.jit(lambda block, x: block(x))(block, x.astype(np.float32))
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


def test_scalar_biases_are_before_and_after_every_convolution(rng):
    block = nn.Block(3, 3, rngs=nnx.Rngs(0), **nn.block_options("fixup", 4))
    drawn(block, rng)
    kernels = [getattr(block.branch, name).kernel[...] for name in block.branch.names]
    before, after, before_last = np.asarray(block.branch.biases[...], np.float64)
    x = rng.standard_normal((2, 5, 4, 3))
    y = by_hand.convolve(x + before, (np.asarray(kernels[0]), after), 1)
    y = by_hand.relu(y) + before_last
    y = by_hand.convolve(y, (np.asarray(kernels[1]), 0.0), 1)
    scale, shift = (float(p[...]) for p in (block.branch_scale, block.shift))
    expected = by_hand.relu(x + scale * y + shift)
    np.testing.assert_allclose(block(x.astype(np.float32)), expected, atol=1e-5)


def test_any_layer_normalises(rng):
    block = nn.Block(3, 3, norm=group_norm, rngs=nnx.Rngs(0))
    kernel = np.asarray(block.branch.first.kernel[...], np.float64)
    x = rng.standard_normal((1, 5, 4, 3))
    # One group of one example: the mean and the variance of all elements.
    y = by_hand.convolve(x, (kernel, 0.0), 1)
    y = by_hand.relu((y - y.mean()) / np.sqrt(y.var() + 1e-6))
    y = by_hand.convolve(y, (np.asarray(block.branch.second.kernel[...]), 0.0), 1)
    y = by_hand.relu(x + (y - y.mean()) / np.sqrt(y.var() + 1e-6))
    np.testing.assert_allclose(block(x.astype(np.float32)), y, rtol=1e-4, atol=1e-5)


LAYERS = 100


def stack_of(method):
    options = nn.block_options(method, LAYERS)
    make = lambda rngs: nn.Block(8, 8, **options, rngs=rngs)
    return nn.Stack(make, LAYERS, rngs=nnx.Rngs(0))


def slope_of(stack, x):
    """Return the output, and the growth of a cotangent's norm from top to bottom."""
    y, pull = jax.vjp(nnx.jit(lambda x: stack(x)), x)
    ct = jax.random.normal(jax.random.key(2), y.shape)
    return y, float(jnp.linalg.norm(pull(ct)[0]) / jnp.linalg.norm(ct))


def test_the_branches_begin_at_zero():
    x = jnp.abs(jax.random.normal(jax.random.key(1), (2, 4, 4, 8)))
    for method in ("skip-init", "rezero", "fixup"):
        y, growth = slope_of(stack_of(method), x)
        np.testing.assert_array_equal(y, x)
        np.testing.assert_allclose(growth, 1.0, rtol=1e-5)


def test_a_hundred_layers_pass_gradients():
    # Small as the theory's q = 1 / LAYERS demands; the order of magnitude is enough.
    x = jax.random.normal(jax.random.key(1), (2, 4, 4, 8)) * LAYERS**-0.5
    _, orthogonal = slope_of(stack_of("delta-orthogonal"), x)
    np.testing.assert_allclose(orthogonal, 1.0, atol=0.5)
    _, scaled = slope_of(stack_of("depth-scaled"), x)
    assert 1.0 < scaled < 10.0


def test_shaped_activations_are_those_of_the_depth():
    found = nn.block_options("tat", LAYERS)
    assert found["activation"] == F.tat_leaky_relu(LAYERS)
    block = nn.Block(4, 4, rngs=nnx.Rngs(0), **found)
    x = jax.random.normal(jax.random.key(1), (1, 2, 2, 4))
    kernel = block.branch.first.kernel[...][1, 1]
    np.testing.assert_allclose(block(x), found["activation"](x @ kernel), rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": "last"}, "`order` is 'last'; wanted one of"),
        ({"layers": 3}, "`layers` is 3; wanted"),
        ({"activation": F.crelu}, "`activation` turns .* wanted the same shape"),
        ({"shortcut": False, "branch_scale": 0.5}, "`branch_scale` is 0.5 .* no scale"),
    ],
)
def test_wrong_switches_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        nn.Block(3, 3, rngs=nnx.Rngs(0), **options)


def test_wrong_methods_and_norms_are_named():
    with pytest.raises(ValueError, match="`method` is 'deep'; wanted one of 'plain'"):
        nn.block_options("deep", 3)
    with pytest.raises(
        TypeError, match="`norm` makes a layer of type NoneType; wanted"
    ):
        nn.Block(3, 3, norm=lambda features, rngs: None, rngs=nnx.Rngs(0))
