"""Plain and residual blocks against their formulas in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from flax.nnx import initializers

from jaxnets import nn
from tests.nn import by_hand


def set_weights(branch, rng):
    """Set every parameter of a `ConvBranch` at random; return them in float64."""
    weights, norms = [], []
    for conv, norm in (
        (branch.first, branch.first_norm),
        (branch.second, branch.second_norm),
    ):
        kernel = 0.3 * rng.standard_normal(conv.kernel.shape)
        conv.kernel[...] = jnp.asarray(kernel, jnp.float32)
        features = kernel.shape[-1]
        bias = rng.standard_normal(features)
        if conv.bias is None:
            scale = 1.0 + 0.3 * rng.standard_normal(features)
            norm.scale[...] = jnp.asarray(scale, jnp.float32)
            norm.bias[...] = jnp.asarray(bias, jnp.float32)
            weights.append((kernel, 0.0))
            norms.append((scale, bias))
        else:
            conv.bias[...] = jnp.asarray(bias, jnp.float32)
            weights.append((kernel, bias))
            norms.append(None)
    return weights, norms


CASES = {
    "same": ((3, 3, 1), True),
    "strided": ((3, 3, 2), False),
    "widened": ((3, 5, 1), False),
    "both": ((2, 5, 2), True),
}
normed = pytest.mark.parametrize("batch_norm", [True, False], ids=["bn", "no-bn"])


@pytest.mark.parametrize("shape, batch_norm", CASES.values(), ids=CASES)
@pytest.mark.parametrize("kind", [nn.PlainBlock, nn.ResidualBlock])
def test_a_block_is_its_formula(kind, shape, batch_norm, rng):
    before, after, stride = shape
    options = {"branch_scale": 0.7} if kind is nn.ResidualBlock else {}
    block = kind(
        before,
        after,
        strides=stride,
        batch_norm=batch_norm,
        kernel_init=initializers.zeros_init(),
        rngs=nnx.Rngs(0),
        **options,
    )
    weights, norms = set_weights(block.branch, rng)
    x = rng.standard_normal((2, 5, 4, before))
    expected = by_hand.branch(x, weights, norms, stride)
    if options:
        expected = by_hand.shortcut(x, stride, after) + 0.7 * expected
    y = nnx.jit(lambda block, x: block(x))(block, x.astype(np.float32))
    np.testing.assert_allclose(y, np.maximum(expected, 0.0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "kind, batch_norm", [(nn.PlainBlock, False), (nn.ResidualBlock, True)]
)
def test_the_gradient_is_the_slope_of_the_formula(kind, batch_norm, rng):
    block = kind(2, 3, strides=2, batch_norm=batch_norm, rngs=nnx.Rngs(0))
    weights, norms = set_weights(block.branch, rng)
    x = rng.standard_normal((2, 5, 4, 2))
    towards, weight = rng.standard_normal(x.shape), rng.standard_normal((2, 3, 2, 3))
    kernel_towards = rng.standard_normal(weights[0][0].shape)

    def by_hand_loss(width):
        moved = (weights[0][0] + width * kernel_towards, weights[0][1])
        at = x + width * towards
        y = by_hand.branch(at, [moved, weights[1]], norms, 2)
        if kind is nn.ResidualBlock:
            y = y + by_hand.shortcut(at, 2, 3)
        return np.sum(weight * np.maximum(y, 0.0))

    merged = nnx.split(block)

    def pure(kernel, x):
        copy = nnx.merge(*merged, copy=True)
        copy.branch.first.kernel[...] = kernel
        return jnp.sum(weight * copy(x))

    arguments = block.branch.first.kernel[...], jnp.asarray(x, jnp.float32)
    kernel_gradient, gradient = jax.jit(jax.grad(pure, argnums=(0, 1)))(*arguments)
    actual = np.vdot(gradient, towards) + np.vdot(kernel_gradient, kernel_towards)
    slope = (by_hand_loss(1e-6) - by_hand_loss(-1e-6)) / 2e-6
    np.testing.assert_allclose(actual, slope, rtol=1e-3)


def test_batch_norm_replaces_the_bias():
    names = lambda block: set(nnx.to_pure_dict(nnx.state(block.branch, nnx.Param)))
    with_norm = nn.PlainBlock(3, 4, rngs=nnx.Rngs(0))
    assert names(with_norm) == {"first", "second", "first_norm", "second_norm"}
    assert with_norm.branch.first.bias is None
    without = nn.PlainBlock(3, 4, batch_norm=False, rngs=nnx.Rngs(0))
    assert names(without) == {"first", "second"}
    assert without.branch.first.bias is not None


@normed
def test_both_kinds_draw_the_same_kernels(batch_norm):
    plain, residual = (
        nnx.state(kind(3, 4, batch_norm=batch_norm, rngs=nnx.Rngs(5)), nnx.Param)
        for kind in (nn.PlainBlock, nn.ResidualBlock)
    )
    assert jax.tree.structure(plain) == jax.tree.structure(residual)
    jax.tree.map(np.testing.assert_array_equal, plain, residual)


def test_a_branch_scale_of_zero_leaves_the_shortcut(rng):
    block = nn.ResidualBlock(
        2, 5, strides=2, branch_scale=0.0, batch_norm=False, rngs=nnx.Rngs(0)
    )
    x = rng.standard_normal((2, 5, 5, 2)).astype(np.float32)
    y = np.asarray(block(x))
    np.testing.assert_array_equal(y[..., :2], np.maximum(x[:, ::2, ::2], 0.0))
    np.testing.assert_array_equal(y[..., 2:], 0.0)


def test_gradient_scale_changes_the_gradient_and_not_the_value(rng):
    block = nn.ResidualBlock(3, 3, batch_norm=False, rngs=nnx.Rngs(0))
    # All positive, so that the last ReLU is the identity.
    x = 9.0 + rng.random((1, 4, 4, 3)).astype(np.float32)

    @jax.jit
    def value_and_gradient(scale):
        return jax.value_and_grad(lambda x: jnp.sum(block(x, scale) ** 2))(x)

    (value, full), (_, half), (unchanged, none) = (
        value_and_gradient(scale) for scale in (1.0, 0.5, 0.0)
    )
    np.testing.assert_array_equal(value, unchanged)
    np.testing.assert_allclose(half, (full + none) / 2, rtol=1e-4, atol=1e-4)
    # Without the branch's gradient the shortcut returns dL/dy = 2 y where y > 0.
    np.testing.assert_allclose(none, 2.0 * block(x), rtol=1e-5)
    assert not np.allclose(full, none)


def test_a_residual_block_cannot_drop_channels():
    with pytest.raises(ValueError, match=r"`out_features` is 3; .*`in_features` = 5"):
        nn.ResidualBlock(5, 3, rngs=nnx.Rngs(0))


def test_evaluation_uses_the_running_statistics(rng):
    block = nn.PlainBlock(2, 3, rngs=nnx.Rngs(0))
    x = rng.standard_normal((4, 4, 4, 2)).astype(np.float32)
    block.eval()
    before = block(x)
    one = block(x[:1])
    np.testing.assert_allclose(one, before[:1], rtol=1e-5, atol=1e-6)
    block.train()
    block(x)
    mean = by_hand.convolve(x, (np.asarray(block.branch.first.kernel[...]), 0.0), 1)
    np.testing.assert_allclose(
        block.branch.first_norm.mean[...], 0.1 * mean.mean((0, 1, 2)), atol=1e-5
    )
    block.eval()
    assert not np.allclose(block(x), before)
