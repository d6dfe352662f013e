"""Which implementation of a convolution runs, and that all compute the same.

`test_conv.py` compares them with the oracle; here each of them is forced by its name.
"""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnets
from jaxnets.functional.convolution.general import conv
from jaxnets.functional.convolution.implementations.blocks import groups_in_a_block


GEOMETRY = {
    "strides": (2, 1),
    "padding": ((1, 0), (0, 2)),
    "input_dilation": (1, 2),
    "kernel_dilation": (1, 2),
}
IMPLEMENTATIONS = {
    "product": ((2, 5, 4, 3), (1, 1, 3, 4), GEOMETRY),
    "shifts": ((9, 5, 4, 3), (3, 2, 1, 6), {**GEOMETRY, "feature_group_count": 3}),
    "blocks": ((2, 5, 4, 6), (3, 2, 2, 9), {**GEOMETRY, "feature_group_count": 3}),
    "planes": ((2, 5, 4, 3, 2), (3, 2, 2, 2, 3), {"strides": (2, 1, 1), "padding": 1}),
}
on_cpu = pytest.mark.skipif(jax.default_backend() != "cpu", reason="about XLA on CPUs")
every_implementation = pytest.mark.parametrize("name", IMPLEMENTATIONS)


@every_implementation
def test_values_and_derivatives_are_those_of_lax(name, rng):
    x_shape, kernel_shape, options = IMPLEMENTATIONS[name]
    arrays = rng.normal(size=x_shape), rng.normal(size=kernel_shape)
    tangents = rng.normal(size=x_shape), rng.normal(size=kernel_shape)

    def everything(implementation, arrays):
        run = lambda *a: conv(*a, **options, implementation=implementation)
        loss = lambda *a: jnp.sum(run(*a) ** 3)
        gradient = jax.grad(loss, (0, 1))
        return jax.jvp(run, arrays, tangents), jax.jvp(gradient, arrays, tangents)

    with jax.enable_x64(True):
        ours, plain = (
            jax.jit(everything, static_argnums=0)(implementation, arrays)
            for implementation in (name, "lax")
        )
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(plain), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-9)


@every_implementation
def test_integers_and_wider_results(name):
    x_shape, kernel_shape, options = IMPLEMENTATIONS[name]
    x, kernel = np.full(x_shape, 100, np.uint8), np.full(kernel_shape, 3, np.uint8)
    for dtype in (None, jnp.int32, jnp.float32):
        ours, plain = (
            conv(x, kernel, **options, implementation=i, preferred_element_type=dtype)
            for i in (name, "lax")
        )
        assert ours.dtype == plain.dtype
        np.testing.assert_array_equal(ours, plain)


@every_implementation
def test_16_bit_results_are_rounded_once(name, rng):
    x_shape, kernel_shape, options = IMPLEMENTATIONS[name]
    x, kernel = (
        jnp.asarray(rng.normal(size=s), jnp.bfloat16) for s in (x_shape, kernel_shape)
    )
    run = lambda *a: conv(*a, **options, implementation=name)
    y, pullback = jax.vjp(run, x, kernel)
    wide, wide_pullback = jax.vjp(
        run, x.astype(jnp.float32), kernel.astype(jnp.float32)
    )
    gradients = pullback(y), wide_pullback(y.astype(jnp.float32))
    for narrow, exact in zip((y, *gradients[0]), (wide, *gradients[1]), strict=True):
        assert narrow.dtype == jnp.bfloat16
        np.testing.assert_allclose(
            narrow.astype(jnp.float32), exact, rtol=2**-8, atol=1e-3
        )
    exactly = run(x, kernel), conv(x, kernel, **options, preferred_element_type="f4")
    np.testing.assert_array_equal(exactly[0], exactly[1].astype(jnp.bfloat16))


def test_empty_arrays_have_gradients():
    for batch, channels in ((0, 3), (2, 0)):
        x, kernel = jnp.ones((batch, 5, channels)), jnp.ones((3, 1, channels))
        if channels:
            run = lambda x, k: conv(
                x, k, feature_group_count=3, implementation="shifts"
            )
        else:
            run = lambda x, k: conv(x, jnp.ones((1, 0, 2)), implementation="product")
        y, pullback = jax.vjp(run, x, kernel)
        dx, dkernel = pullback(y)
        assert dx.shape == x.shape and dkernel.shape == kernel.shape
        assert not np.any(dkernel)


def test_an_empty_spatial_axis_has_gradients():
    x, kernel = jnp.ones((2, 0, 1)), jnp.ones((3, 1, 1))
    loss = lambda x, k: jnp.sum(conv(x, k, padding=2, implementation="library") ** 2)
    gradients = jax.grad(loss, (0, 1))(x, kernel)
    jax.tree.map(np.testing.assert_array_equal, gradients, (x, jnp.zeros((3, 1, 1))))
    curvature = jax.hessian(loss, 1)(x, kernel)
    assert curvature.shape == 2 * kernel.shape and not np.any(curvature)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="the choices are CPU's")
@pytest.mark.parametrize(
    ("x_shape", "kernel_shape", "options", "name"),
    [
        ((2, 8, 8, 4), (3, 3, 4, 8), {}, "library"),
        ((2, 8, 8, 4), (1, 1, 4, 8), {"strides": 2}, "product"),
        ((2, 8, 8, 4), (3, 3, 1, 8), {"feature_group_count": 4}, "shifts"),
        ((2, 8, 8, 4), (13, 13, 1, 8), {"feature_group_count": 4}, "blocks"),
        ((2, 8, 8, 4), (3, 3, 2, 8), {"feature_group_count": 2}, "blocks"),
        ((2, 4, 8, 8, 4), (3, 3, 3, 4, 8), {}, "planes"),
        ((2, 9, 8, 8, 4), (9, 3, 3, 4, 8), {}, "library"),
    ],
)
def test_the_choice_on_cpus(x_shape, kernel_shape, options, name):
    arrays = (jax.ShapeDtypeStruct(s, "float32") for s in (x_shape, kernel_shape))
    plan = jaxnets.plan(conv, *arrays, **options)
    assert plan.implementation == name
    names = {"product", "shifts", "blocks", "planes", "library", "lax"}
    assert set(plan.others) == names - {name}


def test_an_implementation_that_does_not_apply_says_so():
    x, kernel = jnp.ones((2, 8, 4)), jnp.ones((3, 4, 8))
    with pytest.raises(ValueError, match="cannot run here: only for depthwise conv"):
        conv(x, kernel, implementation="shifts")


@pytest.mark.parametrize(
    ("groups", "channels", "size"),
    [(4, 16, 1), (32, 8, 2), (64, 1, 16), (3, 2, 3), (4096, 16, 64)],
)
def test_blocks_are_wide_enough_and_not_too_many(groups, channels, size):
    assert groups_in_a_block(groups, channels) == size


def test_the_gradient_of_a_depthwise_kernel_has_no_wasted_products():
    """JAX's own gradient computes all pairs of channels and keeps the diagonal."""
    x, kernel = jnp.ones((8, 16, 16, 32)), jnp.ones((3, 3, 1, 32))

    def flops(implementation):
        run = lambda k: conv(
            x, k, feature_group_count=32, implementation=implementation
        )
        program = jax.jit(jax.grad(lambda k: jnp.sum(run(k) ** 2))).lower(kernel)
        return (program.compile().cost_analysis() or {})["flops"]

    assert flops("shifts") < flops("lax") / 3


def compiled_layers(x_shape, kernel_shape, groups: int) -> str:
    """Return the program for the gradients of three layers in a scan."""
    layer = lambda h, kernel: (conv(h, kernel, feature_group_count=groups), None)

    @jax.jit
    def run(x, kernels):
        y, back = jax.vjp(lambda *a: jax.lax.scan(layer, *a)[0], x, kernels)
        return back(y)

    arrays = jnp.ones(x_shape), jnp.ones((3, *kernel_shape))
    return run.lower(*arrays).compile().as_text() or ""


@on_cpu
def test_a_product_of_bfloat16_is_not_widened_first(rng):
    """XLA on CPUs multiplies bfloat16 as it is, and sums the products in float32."""
    x, kernel = (
        jnp.asarray(rng.normal(size=s), jnp.bfloat16)
        for s in ((2, 4, 4, 8), (1, 1, 8, 16))
    )

    def everything(x, kernel):
        y, back = jax.vjp(conv, x, kernel)
        return y, back(y)

    program = jax.jit(everything).lower(x, kernel).as_text()
    products = re.findall(r"stablehlo.dot_general.*: \((.*)\) -> (.*)", program)
    assert len(products) == 3
    for operands, result in products:
        assert operands.count("xbf16>") == 2
        assert "xf32>" in result


@on_cpu
def test_blocks_do_not_copy_the_carry_of_a_scan():
    """XLA copies a carry that is still read while the next one is written over it."""
    program = compiled_layers((4, 8, 8, 64), (3, 3, 16, 64), groups=4)
    copied = re.findall(r"= (\S+) copy\(%get-tuple-element", program)
    assert "s32[]" in copied
    assert not any(shape.startswith("f32[4,8,8,64]") for shape in copied)


@on_cpu
def test_shifts_slice_their_kernel_once_in_each_step_of_a_scan():
    """Without barriers XLA slices it from the stack again for each output element."""
    program = compiled_layers((4, 8, 8, 16), (3, 3, 1, 16), groups=16)
    sums = re.findall(r"\n%fused_computation[^\n]*\{\n(.*?)\n\}", program, re.DOTALL)
    sums = [body for body in sums if body.count(" multiply(") == 9]
    assert len(sums) > 1  # forward and backward
    assert not any("dynamic-slice(" in body for body in sums)
