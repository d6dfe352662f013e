"""A network is constructed by one compiled program, which the next one reuses."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxnets import models, nn
from jaxnets.nn.construction import construct_compiled


@functools.cache
def compiled() -> list[str]:
    """The programs that JAX has compiled from the first call of this function on."""
    found: list[str] = []

    def note(event: str, duration_secs: float, **about: str | int) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            found.append(str(about.get("fun_name")))

    jax.monitoring.register_event_duration_secs_listener(note)
    return found


def programs(make) -> int:
    """Count the programs that `make(rngs)` compiles."""
    rngs = nnx.Rngs(0)
    before = len(compiled())
    make(rngs)
    return len(compiled()) - before


@pytest.mark.parametrize(
    "make",
    [
        lambda rngs: models.ResNet(20, 3, 7, widths=(3, 4, 5), rngs=rngs),
        lambda rngs: models.ConvNet((8, 9, 1), 7, rngs=rngs),
        lambda rngs: models.MLP(9, 7, widths=(5,), gain=1.1, rngs=rngs),
        lambda rngs: nn.Conv(5, 7, (3, 3), rngs=rngs),
        # A function that is made anew changes nothing.
        lambda rngs: nn.Stack(lambda r: nn.PlainBlock(3, 3, rngs=r), 5, rngs=rngs),
    ],
)
def test_one_program_constructs_a_network_and_is_kept(make):
    assert programs(make) == 1
    assert programs(make) == 0


def test_the_program_draws_what_the_initialisers_draw():
    make = lambda rngs: nn.ConvBranch(2, 3, rngs=rngs)
    rngs, other = nnx.Rngs(3), nnx.Rngs(3)
    with jax.disable_jit():
        expected = nnx.state(make(other))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
        nnx.state(make(rngs)),
        expected,
    )
    assert rngs.params() == other.params()


def in_a_constant(array):
    return lambda key, shape, dtype: jnp.asarray(array)


def in_a_jitted_function(array):
    return jax.jit(
        lambda key, shape, dtype: array + 0 * jax.random.uniform(key),
        static_argnums=(1, 2),
    )


def in_a_loop(array):
    return lambda key, shape, dtype: jax.lax.fori_loop(
        0, 2, lambda _, sum_: sum_ + array / 2, jnp.zeros(shape, dtype)
    )


def in_a_callback(array):
    return lambda key, shape, dtype: jax.pure_callback(
        lambda: array, jax.ShapeDtypeStruct(shape, dtype)
    )


@pytest.mark.parametrize(
    "init", [in_a_constant, in_a_jitted_function, in_a_loop, in_a_callback]
)
def test_values_that_an_initialiser_holds_are_not_confused(init):
    for value in (1.0, 2.0, 3.0):
        array = np.full((3, 1, 2), value, np.float32)
        layer = nn.Conv(1, 2, (3,), kernel_init=init(array), rngs=nnx.Rngs(0))
        np.testing.assert_array_equal(layer.kernel[...], value)


def test_an_initialiser_may_need_the_value_of_its_key():
    def init(key, shape, dtype):
        return jnp.asarray(np.asarray(jax.random.normal(key, shape)), dtype)

    layer = nn.Conv(1, 2, (3,), kernel_init=init, rngs=nnx.Rngs(0))
    assert len(np.unique(np.asarray(layer.kernel[...]))) == 6


def test_constructors_are_traced_as_others_are():
    def weights(key):
        return nnx.state(nn.Conv(1, 2, (3,), rngs=nnx.Rngs(key)))

    keys = jax.random.split(jax.random.key(0), 2)
    both = jax.jit(jax.vmap(weights))(keys)
    for k in (0, 1):
        jax.tree.map(
            lambda a, b, k=k: np.testing.assert_allclose(a[k], b, rtol=1e-5),
            both,
            weights(keys[k]),
        )


def test_a_subclass_may_read_its_weights():
    class Scaled(nn.Conv):
        def __init__(self, *, rngs: nnx.Rngs):
            super().__init__(1, 2, (3,), rngs=rngs)
            self.largest = float(jnp.max(self.kernel[...]))

    assert Scaled(rngs=nnx.Rngs(0)).largest > 0


def test_no_more_programs_are_kept_than_needed(monkeypatch):
    from jaxnets import programs

    monkeypatch.setattr(programs, "_MOST_PROGRAMS", 1)
    monkeypatch.setattr(programs, "_PROGRAMS", {})
    for size in (3, 4):
        make = lambda rngs, size=size: nnx.Dict(a=nnx.Param(jnp.ones(size)))
        construct_compiled(make, nnx.Rngs(0))
    assert len(programs._PROGRAMS) == 1
