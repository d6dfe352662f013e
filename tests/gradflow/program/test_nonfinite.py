"""`first_nonfinite` against programs of which the first bad operation is known."""

import inspect

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from jaxnets.gradflow.program import first_nonfinite
from tests.gradflow.program import networks
from tests.gradflow.program.networks import Between, loss


X = jnp.linspace(-1.0, 1.0, 8).reshape(4, 2)


pytestmark = pytest.mark.usefixtures("flax_promotes")


def logarithm(x):
    return jnp.log(0 * x)


def overflow(x):
    return jnp.exp(1e4 * jnp.abs(x))


def masked(x):
    # The first row has no entry that is not masked.
    return jax.nn.softmax(jnp.where(x > x[:1], x, -jnp.inf), axis=1)


def in_a_loop(x):
    step = lambda h, weight: (jnp.log(h * weight), None)
    return jax.lax.scan(step, 5.0 + x, jnp.array([1.0, 2.0, 0.0]))[0]


def in_a_branch(x):
    return jax.lax.cond(x[0, 0] < 9, logarithm, jnp.sin, x)


def in_a_while_loop(x):
    return jax.lax.while_loop(lambda y: jnp.all(y < 5), lambda y: jnp.log(0 * y), x)


def root(x):
    return jnp.sqrt(0 * x)


def norm(x):
    return x * jnp.linalg.norm(0 * x)


def chosen(x):
    # The branch that is not chosen has an infinite derivative.
    return jnp.where(x < 9, x, jnp.sqrt(0 * x))


FORWARD = {
    "log": [logarithm, in_a_loop, in_a_branch, in_a_while_loop],
    "exp": [overflow],
    "sub": [masked],
}


@pytest.mark.parametrize(
    ("primitive", "function"), [(p, f) for p, fs in FORWARD.items() for f in fs]
)
def test_the_forward_pass(primitive, function):
    found = first_nonfinite(loss, Between(nnx.Rngs(0), function), X)
    assert found is not None
    assert found.primitive == primitive
    assert found.after == "first"
    assert not found.backward
    file, _, line = found.where.partition(":")
    assert file == "test_nonfinite.py"
    lines, start = inspect.getsourcelines(
        logarithm if function is in_a_branch else function
    )
    assert start < int(line) < start + len(lines)


@pytest.mark.parametrize("function", [root, norm, chosen])
def test_the_backward_pass(function):
    found = first_nonfinite(loss, Between(nnx.Rngs(0), function), X)
    assert found is not None
    assert found.backward
    assert (found.primitive, found.after) == ("sqrt", "first")
    lines, start = inspect.getsourcelines(function)
    assert start < int(found.where.partition(":")[2]) < start + len(lines)


class Norms(networks.Plain):
    """Every layer is divided by its norm, which is zero after the second one."""

    def __call__(self, x):
        for number, layer in enumerate(self.body):
            x = (number != 1) * layer(x)
            x = x / (1 + jnp.linalg.norm(x))
        return self.head(x)


def test_the_backward_pass_of_one_of_several_layers():
    found = first_nonfinite(loss, Norms(nnx.Rngs(0)), X)
    assert found is not None
    assert (found.primitive, found.after, found.backward) == ("sqrt", "body/1", True)


def test_finite_losses_and_harmless_infinities():
    harmless = lambda x: jax.nn.softmax(jnp.where(x < 0, x, -jnp.inf) + 0.0, axis=0)
    for function in (jnp.sin, harmless):
        assert first_nonfinite(loss, Between(nnx.Rngs(0), function), X) is None


def test_parameters_and_arguments():
    model = networks.Plain(nnx.Rngs(0))
    found = first_nonfinite(loss, model, X.at[0, 0].set(jnp.nan))
    assert found is not None
    assert found.primitive == "argument"
    model.body[1] = nnx.Linear(
        2, 2, bias_init=nnx.initializers.constant(jnp.inf), rngs=nnx.Rngs(0)
    )
    found = first_nonfinite(loss, model, X)
    assert found is not None
    assert (found.primitive, found.where) == ("parameter", "body/1/bias")
