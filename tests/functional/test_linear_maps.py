import jax
import jax.numpy as jnp
import numpy as np

from jaxnets.functional.shared.linear_maps import linear_map


def read(x, indices):
    return x[indices]


def add(cotangent, indices):
    """The transpose of `read`; JAX never differentiates it."""
    matches = indices[:, None] == jnp.arange(4)[None]
    return jnp.sum(jnp.where(matches, cotangent[:, None], 0), axis=0)


def linear_read(x, indices):
    return linear_map(read, add, x, indices)


X = jnp.array([1.0, 2.0, 4.0, 8.0])
INDICES = jnp.array([3, 0, 3])


def test_value_and_derivatives_of_all_modes_are_those_of_the_map():
    np.testing.assert_array_equal(jax.jit(linear_read)(X, INDICES), [8, 1, 8])
    np.testing.assert_array_equal(
        jax.jacfwd(linear_read)(X, INDICES), jax.jacrev(linear_read)(X, INDICES)
    )
    loss = lambda x: jnp.sum(linear_read(x, INDICES) ** 3)
    plain = lambda x: jnp.sum(x[INDICES] ** 3)
    for modes in (lambda f: jax.jacrev(jax.jacrev(f)), jax.hessian):
        np.testing.assert_allclose(modes(loss)(X), modes(plain)(X))
    text = jax.jit(jax.jacrev(jax.grad(loss))).lower(X).as_text()
    assert "scatter" not in text
    assert "scatter" in jax.jit(jax.grad(plain)).lower(X).as_text()


def test_any_argument_may_have_a_batch_axis():
    xs, indices = jnp.stack([X, 2 * X], axis=-1), jnp.stack([INDICES, INDICES - 1], -1)
    for axes in ((1, 1), (1, None), (None, 1)):
        pick = lambda a, axis, i: a if axis is None else a[..., i]
        batch = [
            a if axis is not None else a[..., 0]
            for a, axis in zip((xs, indices), axes, strict=True)
        ]
        squares = lambda x, p: jnp.sum(linear_read(x, p) ** 2)
        rows = jax.vmap(jax.value_and_grad(squares), axes)(*batch)
        for i in range(2):
            own = [pick(a, axis, i) for a, axis in zip(batch, axes, strict=True)]
            value, gradient = jax.value_and_grad(squares)(*own)
            np.testing.assert_array_equal(rows[0][i], value)
            np.testing.assert_array_equal(rows[1][i], gradient)


def test_it_passes_through_loops_checkpoints_and_meshes():
    again = lambda x: linear_read(x, jnp.array([3, 0, 2, 0]))
    loop = lambda x: jax.lax.scan(lambda h, _: (again(h), None), x, None, 2)[0]
    auto = jax.sharding.AxisType.Auto
    mesh = jax.make_mesh((1,), ("data",), axis_types=(auto,))
    spec = jax.sharding.PartitionSpec("data")
    shards = jax.shard_map(again, mesh=mesh, in_specs=spec, out_specs=spec)
    for function, expected in (
        (loop, lambda x: again(again(x))),
        (jax.checkpoint(again), again),
        (shards, again),
    ):
        actual, wanted = (
            jax.jit(jax.grad(lambda x, f=f: jnp.sum(f(x) ** 2)))(X)
            for f in (function, expected)
        )
        np.testing.assert_array_equal(actual, wanted)
