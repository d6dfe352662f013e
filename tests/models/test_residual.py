"""Plain and residual networks: depth, parameters, and equal initial weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxnets import models


KINDS = [models.PlainNet, models.ResNet]


def small(kind, **options):
    options = {"widths": (3, 5), "batch_norm": False} | options
    return kind(10, 2, 4, **options, rngs=nnx.Rngs(3))


def parameters(kind, *arguments, **options):
    """Return the shapes of the parameters, without computing them."""
    make = lambda: kind(*arguments, **options, rngs=nnx.Rngs(0))
    return nnx.state(nnx.eval_shape(make), nnx.Param)


def count(state):
    return sum(leaf.size for leaf in jax.tree.leaves(state))


@pytest.mark.parametrize("kind", KINDS)
def test_logits_of_images_of_any_size(kind):
    model = small(kind)
    run = lambda height, width: jax.eval_shape(
        lambda x: nnx.clone(model)(x), jnp.zeros((3, height, width, 2))
    )
    assert [run(8, 8).shape, run(7, 5).shape] == [(3, 4), (3, 4)]


def test_the_parameter_count_of_he_et_al():
    # Table 6 of the paper, in millions: ResNet-20, 32, 44, 56.
    published = {20: 0.27, 32: 0.46, 44: 0.66, 56: 0.85}
    for depth, millions in published.items():
        found = count(parameters(models.ResNet, depth, 3, 10))
        assert round(found / 1e6, 2) == millions
    kernels = 432 + 6 * 2304 + 4608 + 5 * 9216 + 18432 + 5 * 36864
    norms = 2 * (7 * 16 + 6 * 32 + 6 * 64)
    assert count(parameters(models.ResNet, 20, 3, 10)) == kernels + norms + 650


@pytest.mark.parametrize("batch_norm", [True, False])
def test_both_kinds_have_the_same_parameters(batch_norm):
    plain, residual = (
        parameters(kind, 20, 3, 10, batch_norm=batch_norm) for kind in KINDS
    )
    assert jax.tree.structure(plain) == jax.tree.structure(residual)
    assert jax.tree.leaves(jax.tree.map(jnp.shape, plain)) == jax.tree.leaves(
        jax.tree.map(jnp.shape, residual)
    )


def test_the_same_seed_gives_both_kinds_the_same_kernels():
    plain, residual = (nnx.state(small(kind), nnx.Param) for kind in KINDS)
    jax.tree.map(np.testing.assert_array_equal, plain, residual)


@pytest.mark.parametrize("depth, widths", [(8, 3), (14, 3), (6, 2), (10, 2), (4, 1)])
def test_the_depth_counts_layers_with_weights(depth, widths):
    state = parameters(
        models.PlainNet, depth, 1, 10, widths=(4,) * widths, batch_norm=False
    )
    kernels = [
        leaf.shape
        for path, leaf in jax.tree.leaves_with_path(state)
        if "kernel" in jax.tree_util.keystr(path)
    ]
    stacked = [shape[0] for shape in kernels if len(shape) == 5]
    single = [shape for shape in kernels if len(shape) < 5]
    assert sum(stacked) + len(single) == depth


@pytest.mark.parametrize("depth", [9, 10, 2, 0, -4])
def test_a_depth_needs_a_whole_number_of_blocks(depth):
    with pytest.raises(
        ValueError, match=rf"`depth` is {depth}; wanted 2 \* n \* 3 \+ 2 .*8 or 14"
    ):
        models.ResNet(depth, 3, 10, rngs=nnx.Rngs(0))


def test_the_suggested_depths_are_the_nearest():
    with pytest.raises(ValueError, match="such as 20 or 26"):
        models.PlainNet(22, 3, 10, rngs=nnx.Rngs(0))


def test_widths_must_not_be_empty_or_decrease():
    with pytest.raises(ValueError, match="`widths` is empty"):
        models.PlainNet(8, 3, 10, widths=(), rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="`out_features` is 3"):
        models.ResNet(10, 3, 10, widths=(5, 3), rngs=nnx.Rngs(0))


def test_without_batch_norm_each_branch_is_scaled():
    scaled = small(models.ResNet)
    branch_scales = {
        part.branch_scale
        for _, part in nnx.iter_graph(scaled)
        if hasattr(part, "branch_scale")
    }
    assert branch_scales == {4**-0.5}
    normed = nnx.eval_shape(lambda: small(models.ResNet, batch_norm=True))
    assert {
        part.branch_scale
        for _, part in nnx.iter_graph(normed)
        if hasattr(part, "branch_scale")
    } == {1.0}


def test_numpy_images_and_block_arguments():
    model = small(models.ResNet)
    x = np.ones((2, 6, 6, 2), np.float32)
    call = nnx.jit(lambda model, x, scale: model(x, scale))
    np.testing.assert_array_equal(call(model, x, 1.0), call(model, x, 0.5))


def test_checkpoints_leave_the_gradients_as_they_are(rng):
    x = jnp.asarray(rng.standard_normal((2, 4, 4, 2)), jnp.float32)

    def gradients_of(checkpoint):
        model = models.ResNet(
            14, 2, 3, widths=(4,), checkpoint=checkpoint, rngs=nnx.Rngs(0)
        )
        assert model.stages[0][0].checkpoint == (checkpoint and 2)
        definition, params, rest = nnx.split(model, nnx.Param, ...)
        merged = lambda params: nnx.merge(definition, params, rest, copy=True)
        loss = lambda params: jnp.sum(merged(params)(x) ** 2)
        program = str(jax.make_jaxpr(jax.grad(loss))(params)).lower()
        recomputed = "remat" in program
        assert recomputed == (checkpoint is not None)
        return jax.jit(jax.grad(loss))(params)

    expected, actual = map(gradients_of, (None, "sqrt"))
    for e, a in zip(*map(jax.tree.leaves, (expected, actual)), strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-4, atol=1e-6)
