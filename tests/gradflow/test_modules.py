"""`measure_module` against explicit cotangents and `nnx.value_and_grad`."""

import abc
import functools
import threading
import types
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxnets import nn
from jaxnets.gradflow import measure_module, tap
from jaxnets.gradflow.capture.changes import changes_loss
from tests.oracles import gradflow as oracle


pytestmark = pytest.mark.usefixtures("flax_promotes")


class Residual(nnx.Module):
    """A shortcut around a convolution, of Flax's layers only."""

    def __init__(self, features, rngs):
        bias_init = lambda *_: jnp.linspace(-0.3, 0.4, features)
        self.conv = nnx.Conv(features, features, (3, 3), bias_init=bias_init, rngs=rngs)

    def __call__(self, x):
        return x + jnp.tanh(self.conv(x))


class Convolutions(nnx.Module):
    """Blocks that are given, then a classifier with BatchNorm and dropout."""

    def __init__(self, blocks, rngs):
        self.blocks = nnx.List(blocks)
        self.norm = nnx.BatchNorm(3, rngs=rngs)
        self.dropout = nnx.Dropout(0.25, rngs=rngs)
        self.head = nnx.SpectralNorm(nnx.Linear(3, 2, rngs=rngs), rngs=rngs)

    def features(self, x):
        for block in self.blocks:
            x = block(x)
        return x

    def __call__(self, x):
        x = self.dropout(self.norm(self.features(x)))
        return self.head(jnp.mean(x, axis=(1, 2)), update_stats=True)


class Stacked(nnx.Module):
    """Blocks of one shape in a scan."""

    def __init__(self, layers, rngs):
        split = nnx.split_rngs(splits=layers)
        make = nnx.vmap(lambda rngs: Residual(3, rngs), in_axes=0, out_axes=0)
        self.blocks = split(make)(rngs)

    def __call__(self, x):
        run = lambda block, x: nnx.remat(lambda block, x: block(x))(block, x)
        return nnx.scan(run, in_axes=(0, nnx.Carry), out_axes=nnx.Carry)(self.blocks, x)


def mean_square(model, x):
    return jnp.mean(model(x) ** 2)


def jitted(loss, model, *args, **options):
    measured = lambda model, *args: measure_module(loss, model, *args, **options)
    return nnx.jit(measured)(model, *args)


def norm(x):
    return np.linalg.norm(np.ravel(x))


def assert_equal_trees(actual, expected):
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
        actual,
        expected,
    )


@pytest.fixture
def images(rng):
    return rng.normal(size=(2, 5, 7, 3)).astype(np.float32)


@pytest.fixture
def sequences(rng):
    return rng.normal(size=(2, 5, 3)).astype(np.float32)


CELLS = {
    nnx.SimpleCell: ["cell"],
    nnx.GRUCell: ["cell"],
    nnx.LSTMCell: ["cell/c", "cell/h"],
    nnx.OptimizedLSTMCell: ["cell/c", "cell/h"],
}


@pytest.mark.parametrize("kind", CELLS)
def test_flax_cells_give_the_adjoint_of_every_step(kind, sequences, rng):
    model = nnx.RNN(kind(3, 4, rngs=nnx.Rngs(0)))
    weights = rng.normal(size=(2, 5, 4)).astype(np.float32)
    loss = lambda model, x: jnp.sum(weights * model(x))
    flow = jitted(loss, model, sequences, only="cell*")

    cell = model.cell
    carry = cell.initialize_carry((2, 3), nnx.Rngs(0))
    steps = [lambda carry, t=t: cell(carry, sequences[:, t])[0] for t in range(5)]
    # The output is the carry's last array, h.
    above = lambda t: jnp.asarray(weights[:, t])
    direct = [
        (jnp.zeros((2, 4)), above(t)) if isinstance(carry, tuple) else above(t)
        for t in range(5)
    ]
    cotangents = jax.jit(lambda c: oracle.adjoint(steps, c, direct))(carry)
    by_array = zip(*map(jax.tree.leaves, cotangents), strict=True)
    for name, expected in zip(CELLS[kind], by_array, strict=True):
        norms = [norm(cotangent) for cotangent in expected]
        np.testing.assert_allclose(flow.taps[name].norm, norms, rtol=1e-5)


def blocks_of_flax(rngs):
    return [Residual(3, rngs) for _ in range(3)]


def blocks_of_ours(rngs):
    options = {"kernel_init": nnx.initializers.he_normal(), "rngs": rngs}
    return [nn.PlainBlock(3, 3, **options), nn.ResidualBlock(3, 3, **options)]


@pytest.mark.parametrize("make_blocks", [blocks_of_flax, blocks_of_ours])
def test_convolutions_give_the_adjoint_of_every_block(make_blocks, images, rng):
    model = Convolutions(make_blocks(nnx.Rngs(0)), nnx.Rngs(1))
    weights = rng.normal(size=images.shape).astype(np.float32)
    loss = lambda model, x: jnp.sum(weights * model.features(x))
    flow = jitted(loss, model, images)
    # Each trace merges new copies: our blocks update the statistics of BatchNorm.
    splits = [nnx.split(block) for block in model.blocks]
    merged = lambda split: lambda x: nnx.merge(*split, copy=True)(x)
    blocks = [merged(split) for split in splits]
    direct = [jnp.zeros_like(images)] * (len(blocks) - 1) + [weights]
    cotangents = jax.jit(lambda x: oracle.adjoint(blocks, x, direct))(images)
    x = images
    for number, (block, expected) in enumerate(zip(blocks, cotangents, strict=True)):
        name, x = f"blocks/{number}", block(x)
        np.testing.assert_allclose(flow.taps[name].norm, norm(expected), rtol=1e-5)
        np.testing.assert_allclose(flow.responses[name].std, np.std(x), rtol=1e-4)


def test_value_gradient_and_state_are_those_of_flax(images):
    make = lambda: Convolutions([Residual(3, nnx.Rngs(0))], nnx.Rngs(1))
    measured, plain = make(), make()
    loss = lambda model, x: (mean_square(model, x), {"logits": model(x)})
    flow = jitted(loss, measured, images, has_aux=True)
    differentiate = nnx.jit(nnx.value_and_grad(loss, has_aux=True))
    (value, aux), grads = differentiate(plain, images)
    np.testing.assert_allclose(flow.value, value, rtol=1e-5)
    assert_equal_trees(flow.aux, aux)
    assert_equal_trees(flow.grads, grads)
    # BatchNorm's statistics, dropout's counter, and the kernel that SpectralNorm
    # updates.
    state = lambda model: nnx.state(model, nnx.Not(nnx.RngKey))
    assert jax.tree.leaves(nnx.state(measured, nnx.RngCount)) == [2]
    assert_equal_trees(state(measured), state(plain))
    assert nnx.graphdef(measured) == nnx.graphdef(plain)


def test_a_scanned_stack_gives_one_norm_per_layer(images):
    model = Stacked(3, nnx.Rngs(0))
    flow = jitted(mean_square, model, images)
    blocks = [
        nnx.merge(
            nnx.graphdef(model.blocks),
            jax.tree.map(lambda array, k=k: array[k], nnx.state(model.blocks)),
        )
        for k in range(3)
    ]
    y = nnx.jit(lambda model, x: model(x))(model, images)
    direct = [jnp.zeros_like(y)] * 2 + [2 * y / y.size]
    cotangents = jax.jit(lambda x: oracle.adjoint(blocks, x, direct))(images)
    norms = [norm(cotangent) for cotangent in cotangents]
    np.testing.assert_allclose(flow.taps["blocks"].norm, norms, rtol=1e-5)
    assert flow.taps["blocks/conv"].norm.shape == (3,)


class Named(nnx.Module):
    """Places a tap of its own and returns several arrays."""

    def __call__(self, x):
        return {"y": tap(jnp.sin(x), "sine"), "twice": 2 * x, "size": x.size}


class Sharing(nnx.Module):
    """Calls one module twice, and has it under two paths."""

    def __init__(self):
        self.layers = nnx.List([nnx.Linear(3, 3, rngs=nnx.Rngs(0))])
        self.again = self.layers[0]
        self.named = Named()

    def __call__(self, x):
        out = self.named(self.again(self.layers[0](x)))
        return out["y"] * out["twice"]


def test_names_of_shared_and_repeated_modules_and_of_own_taps():
    loss = lambda model, x: jnp.sum(model(x))
    measured = lambda x: measure_module(loss, Sharing(), x).taps
    taps = jax.eval_shape(measured, jnp.zeros(3))
    own = ["named/sine", "named/twice", "named/y"]
    assert sorted(taps) == ["__call__", "again", "again#2", *own]


class Registered(nnx.Module):
    """A class that registers its subclasses and jits its call."""

    known: ClassVar[list[str]] = []

    def __init_subclass__(cls, *, wanted, **options):
        super().__init_subclass__(**options)
        Registered.known.append(wanted)

    def __init__(self):
        self.inner = nnx.Linear(3, 3, rngs=nnx.Rngs(0))

    @nnx.jit
    def __call__(self, x):
        return self.inner(x)


class Known(Registered, wanted="known"):
    """The one subclass."""


def test_a_jitted_call_of_a_class_that_registers_subclasses():
    loss = lambda model, x: jnp.sum(model(model(x)))
    model = Known()
    for _ in range(2):
        taps = measure_module(loss, model, jnp.ones(3)).taps
        assert list(taps) == ["inner", "__call__", "inner#2", "__call__#2"]
        norms = [taps[name].norm for name in ("inner", "inner#2")]
        expected = [norm(model.inner.kernel[...].sum(1)), 3**0.5]
        np.testing.assert_allclose(norms, expected, rtol=1e-5)
    assert Registered.known == ["known"]
    assert type(model) is Known


class Counted:
    """A base that registers its subclasses, before or after `nnx.Module`."""

    known: ClassVar[list[str]] = []

    def __init_subclass__(cls, *, wanted="", **options):
        super().__init_subclass__(**options)
        Counted.known.append(wanted)


class Slotted:
    """A base without a dictionary of its own."""

    __slots__ = ()


class Maps(Protocol):
    """A protocol of modules."""

    def __call__(self, x: jax.Array) -> jax.Array: ...


# Pyright knows no class with these two kinds of base.
OfBoth: Any = type("OfBoth", (type(Maps), type(nnx.Module)), {})
Promised: Any = OfBoth("Promised", (Maps, nnx.Module), {})
Kind = TypeVar("Kind")


class TypedFirst(Generic[Kind], nnx.Module):  # noqa: UP046
    """A generic base first."""


class TypedLast(nnx.Module, Generic[Kind]):  # noqa: UP046
    """A generic base last."""


BASES: list[tuple[Any, ...]] = [
    (Counted, nnx.Module),
    (nnx.Module, Counted),
    (Slotted, nnx.Module),
    (abc.ABC, nnx.Module),
    (TypedFirst,),
    (TypedLast,),
    (Promised,),
    (Counted, nnx.Linear),
]


@pytest.mark.parametrize("bases", BASES, ids=str)
def test_any_bases_beside_the_module(bases):
    """Python changes the class of an object only to one of the same layout."""

    def build(self):
        nnx.Linear.__init__(self, 3, 3, rngs=nnx.Rngs(0))

    members = {"__init__": build, "__call__": nnx.Linear.__call__}
    cls = types.new_class("Based", bases, exec_body=lambda body: body.update(members))
    Counted.known.clear()
    taps = measure_module(lambda model, x: jnp.sum(model(x)), cls(), jnp.ones(3)).taps
    assert list(taps) == ["__call__"]
    assert Counted.known == []


def test_a_branch_that_is_not_taken_has_nan(images):
    class Either(nnx.Module):
        def __init__(self):
            self.blocks = nnx.List(blocks_of_flax(nnx.Rngs(0)))

        def __call__(self, x, number):
            run = lambda k: lambda blocks, x: blocks[k](x)
            return nnx.cond(number == 1, run(1), run(0), self.blocks, x)

    loss = lambda model, x, number: jnp.mean(model(x, number) ** 2)
    model = Either()
    flow = jitted(loss, model, images, jnp.array(1), only="blocks/?")
    y = model.blocks[1](images)
    taken = flow.taps["blocks/1"].norm
    np.testing.assert_allclose(taken, norm(2 * y / y.size), rtol=1e-5)
    assert np.isnan(flow.taps["blocks/0"].norm)


def test_vmap_gives_the_norms_of_each_example(images):
    model = Residual(3, nnx.Rngs(0))
    each = lambda x: measure_module(mean_square, model, x[None]).taps["conv"].norm
    norms = jax.jit(jax.vmap(each))(images)
    expected = [jitted(mean_square, model, x[None]).taps["conv"].norm for x in images]
    np.testing.assert_allclose(norms, expected, rtol=1e-5)


def test_half_precision_is_summed_in_float32(rng):
    model = nnx.Linear(3, 500, dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    x = rng.normal(size=(40, 3)).astype(np.float32)
    flow = jitted(lambda model, x: jnp.sum(model(x).astype(jnp.float32)), model, x)
    stats = flow.taps["__call__"]
    # A bfloat16 sum of ones stops growing at 256.
    np.testing.assert_allclose(stats.norm, np.sqrt(40 * 500), rtol=1e-5)
    assert {leaf.dtype for leaf in stats} == {jnp.dtype(jnp.float32)}


def test_the_model_stays_as_it_is_when_the_loss_raises_and_in_threads(images):
    model = Residual(3, nnx.Rngs(0))

    def raising(model, x):
        assert type(model.conv) is not nnx.Conv
        raise KeyError("the user's own")

    with pytest.raises(KeyError, match="the user's own"):
        measure_module(raising, model, images)
    assert type(model) is Residual and type(model.conv) is nnx.Conv

    met, barrier = {}, threading.Barrier(2)

    def measure_in_thread(name, other):
        def loss(model, x):
            barrier.wait()
            assert type(model.conv) is not nnx.Conv
            assert type(other.conv) is nnx.Conv
            return mean_square(model, x)

        met[name] = measure_module(loss, Residual(3, nnx.Rngs(name)), images).taps

    pair = [
        threading.Thread(target=measure_in_thread, args=(k, model)) for k in range(2)
    ]
    for thread in pair:
        thread.start()
    for thread in pair:
        thread.join()
    assert [list(met[name]) for name in (0, 1)] == [["conv", "__call__"]] * 2


class Coder(nnx.Module):
    """Has public methods beside `__call__`."""

    def __init__(self):
        self.inner = nnx.Linear(3, 3, rngs=nnx.Rngs(0))
        self.embed = nnx.Embed(3, 3, rngs=nnx.Rngs(1))
        self.extra = nnx.Cache(jnp.ones(3))

    @property
    def scale(self):
        return self.extra[...]

    @staticmethod
    def double(x):
        return 2 * x

    def weights(self):
        return self.inner.kernel[...]

    def _encode(self, x):
        return self.double(self.inner(x)) * self.scale

    encode: Any = nnx.jit(_encode)

    def _hidden(self, x):
        return self.embed.attend(x)

    def __call__(self, x, mask=None, *, mode="sum"):
        assert mode in ("sum", "mean")
        y = self._hidden(self.encode(x)) @ self.weights()
        return y if mask is None else y * mask


def test_other_public_methods_are_tapped():
    loss = lambda model, x: jnp.sum(model(x)) + jnp.sum(model.encode(x) ** 2)
    model, x = Coder(), jnp.ones((2, 3))
    flow = measure_module(loss, model, x)
    names = ["inner", "encode", "embed/attend", "__call__", "inner#2", "encode#2"]
    assert list(flow.taps) == names
    expected = 2 * model.encode(x)
    np.testing.assert_allclose(flow.taps["encode#2"].norm, norm(expected), rtol=1e-5)


def test_keyword_arguments_and_what_is_differentiated():
    def loss(model, x, other, *, mask, mode):
        y = model(x, mask=mask, mode=mode) + other(x)
        return jnp.mean(y**2), y

    model, other, x = Coder(), nnx.Linear(3, 3, rngs=nnx.Rngs(2)), jnp.ones((2, 3))
    options = {"mask": jnp.array([1.0, 0.0, 1.0]), "mode": "mean"}

    def assert_is_of_flax(of_flax, **how):
        measured = jitted(loss, model, x, other, has_aux=True, **how, **options)
        # Flax's own needs every argument to have a position.
        bound = functools.partial(loss, **options)
        plain = nnx.value_and_grad(bound, argnums=of_flax, has_aux=True)
        (value, aux), grads = plain(model, x, other)
        np.testing.assert_allclose(measured.value, value, rtol=1e-5)
        np.testing.assert_allclose(measured.aux, aux, rtol=1e-4)
        assert_equal_trees(measured.grads, grads)
        return list(measured.taps)

    assert "0/encode" in assert_is_of_flax((0, 2), argnums=(0, 2))
    states = (nnx.DiffState(0, nnx.Cache), nnx.DiffState(2, nnx.PathContains("bias")))
    assert "2" in assert_is_of_flax(states, argnums=states)
    assert "encode" in assert_is_of_flax(nnx.DiffState(0, nnx.Cache), wrt=nnx.Cache)
    assert "encode" in assert_is_of_flax(1, argnums=1)


def test_outputs_in_a_named_tuple_have_its_field_names():
    class Pair(NamedTuple):
        mean: jax.Array
        scale: jax.Array

    class Gaussian(nnx.Module):
        def __call__(self, x):
            return Pair(2 * x, jnp.exp(x))

    loss = lambda model, x: jnp.sum(x * sum(model(x)))
    flow = measure_module(loss, Gaussian(), jnp.ones(3), argnums=1)
    assert list(flow.taps) == ["__call__/mean", "__call__/scale"]


class Asking(nnx.Module):
    """A forward pass that asks for the class of a layer."""

    def __init__(self, exactly):
        self.layer = nnx.Linear(3, 3, rngs=nnx.Rngs(0))
        self.exactly = exactly

    def __call__(self, x, is_large=True):
        exact = type(self.layer) is nnx.Linear
        known = exact if self.exactly else isinstance(self.layer, nnx.Linear)
        return self.layer(x) if known and is_large else x


def test_whether_taps_change_the_loss(images):
    loss = lambda model, x: jnp.sum(model(x))
    assert changes_loss(loss, Asking(exactly=True), jnp.ones(3))
    assert not changes_loss(loss, Asking(exactly=False), jnp.ones(3))
    # Randomness, state, and a condition that cannot be traced.
    model = Convolutions(blocks_of_flax(nnx.Rngs(0))[:1], nnx.Rngs(1))
    assert not changes_loss(mean_square, model, images)
    assert jax.tree.leaves(nnx.state(model, nnx.RngCount)) == [0]
    eager = lambda model, x: jnp.sum(model(x, is_large=bool(x[0] > 0)))
    assert changes_loss(eager, Asking(exactly=True), jnp.ones(3))
    assert not changes_loss(eager, Asking(exactly=False), jnp.ones(3))


def test_errors(images):
    model = Residual(3, nnx.Rngs(0))
    for argnums in ("0", 1.0, (True,)):
        with pytest.raises(TypeError, match=r"`argnums` is .*; wanted a number"):
            measure_module(mean_square, model, images, argnums=argnums)
    for argnums in (2, (0, 0), -3):
        with pytest.raises(ValueError, match=r"`argnums` is .*different numbers below"):
            measure_module(mean_square, model, images, argnums=argnums)
    with pytest.raises(TypeError, match=r"`model` is of type function; .*`jaxnets"):
        measure_module(mean_square, lambda x: x, images)
    with pytest.raises(ValueError, match=r"`only` is 'dense'.* of conv, __call__\."):
        measure_module(mean_square, model, images, only="dense")


def test_a_filter_that_is_none_or_matches_nothing_is_named():
    model, loss = (
        nnx.Linear(2, 1, rngs=nnx.Rngs(0)),
        lambda model: model(jnp.ones((1, 2))).mean(),
    )
    with pytest.raises(ValueError, match="`wrt` is 'LoRA', which no variable"):
        measure_module(loss, model, wrt="LoRA")
    with pytest.raises(TypeError, match="`wrt` is 3; wanted a filter of Flax"):
        measure_module(loss, model, wrt=3)
