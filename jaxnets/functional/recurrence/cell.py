"""What rnn, gru and lstm are made of, so that one scan runs them all.

A step is two things. First its pre-activations, sums of products of `x_t` and of
`h_{t-1}` with weights: they take the time, and the gradient of their weights can wait
until the loop is over. Then what the gates make of them, `advance`, element by element.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Inexact

from jaxnets.functional.shared.dtypes import accumulation_dtype
from jaxnets.tap import Tapped


# An elementwise function, such as `jnp.tanh` or `jax.nn.sigmoid`.
Activation = Callable[[Array], Array]


class Weights(NamedTuple):
    """Weights of the pre-activations.

    Attributes:
        w_xh: `(D, G*H)`.
        w_hh: `(P, K)`, of the columns that the state has a share of.
        b: `(G*H,)`; None where it is added later.
        b_h: Bias of the columns of `w_hh` that `x_t` has no share in; None: no bias.
    """

    w_xh: Any
    w_hh: Any
    b: Any
    b_h: Any = None


class Part(NamedTuple):
    """One block of pre-activations, by the columns of the weights that make it.

    Attributes:
        x: Columns of `w_xh` and `b`; None if `x_t` has no share in it.
        h: Columns of `w_hh`; None if the state has no share in it.
    """

    x: slice | None
    h: slice | None


class Gates(NamedTuple):
    """A cell without any option, element by element, with its derivative by hand.

    The first array of a state is its output. What the derivative needs of each part of
    the pre-activations fits in the place of that part, as blocks of columns side by
    side.

    Attributes:
        forward: `forward(parts, start, hold) -> (blocks of each part, state)`. What
            `hold` returns is computed once, wherever it is used.
        backward: `backward(places, start, ct_state)`, where `places` are the blocks of
            each part in one array, returns the cotangents of the parts, as blocks
            again, that of `start`, and by the name of each tap the value and the
            cotangent that it sees.
        taps: The names of the taps, in the order of the forward pass.
    """

    forward: Callable[[Any, Any, Callable[[Any], Any]], tuple[Any, Any]]
    backward: Callable[[Any, Any, Any], tuple[Any, Any, Tapped]]
    taps: tuple[str, ...]


class Cell(NamedTuple):
    """One recurrent network at work.

    Attributes:
        weights: `Weights` of the pre-activations.
        extras: Pytree of all other parameters, each of the size of H at the most.
        parts: The pre-activations; their columns of `w_xh`, and of `w_hh`, follow one
            another and leave none out.
        recalled: `recalled(extras, state)` is the `(*batch, P)` that `w_hh` multiplies.
        advance: `advance(extras, parts, state, draws_t) -> (state, y_t)`.
        gates: `recalled` and `advance` of a cell without any option, by hand.
        draws: Random draws of every step, time first; a pytree.
    """

    weights: Weights
    extras: Any
    parts: tuple[Part, ...]
    recalled: Callable[[Any, Any], Any]
    advance: Callable[[Any, tuple[Array, ...], Any, Any], tuple[Any, Any]]
    gates: Gates
    draws: Any = None


def product(
    x: Inexact[Array, "*lead inner"], w: Inexact[Array, "inner outer"]
) -> Inexact[Array, "*lead outer"]:
    """Multiply `x @ w`; 16-bit arguments are summed, and the sum left, in float32."""
    return jnp.matmul(x, w, preferred_element_type=wide(x.dtype))


def wide(dtype: Any) -> Any:
    """Return the dtype that sums of numbers of this dtype are held in."""
    return accumulation_dtype(dtype)


def input_share(weights: Weights, x: Any) -> Array:
    """Compute `x @ w_xh + b`, the input's share of the pre-activations."""
    a = product(x, weights.w_xh)
    return a if weights.b is None else a + spread(weights.b, a)


def preactivations(
    cell: Cell, from_x: Array, h: Array, weights: Weights
) -> tuple[Array, ...]:
    """Add to the input's share what `w_hh` makes of `h`, part by part."""
    shares = [None if part.x is None else from_x[..., part.x] for part in cell.parts]
    return totals(cell, shares, h, weights)


def totals(
    cell: Cell, shares: Sequence[Array | None], h: Array, weights: Weights
) -> tuple[Array, ...]:
    """Do the same, with the input's share in parts; None where it has none."""
    from_h = product(h, weights.w_hh)

    def own(part: Part) -> Array:
        a = from_h[..., part.h]
        return a if weights.b_h is None or part.x else a + spread(weights.b_h, a)

    def total(share: Array | None, part: Part) -> Array:
        if share is None:
            return own(part)
        return share if part.h is None else share + own(part)

    return tuple(map(total, shares, cell.parts))


def spread(b: Array, a: Array) -> Array:
    """Return a bias in the dtype and shape of what it is added to."""
    return jnp.broadcast_to(b.astype(a.dtype), a.shape)


def cell_step(cell: Cell, state: Any, x_t: Any) -> tuple[Any, Any]:
    """Compute one step of `cell` from its input."""
    from_x = input_share(cell.weights, x_t)
    parts = preactivations(
        cell, from_x, cell.recalled(cell.extras, state), cell.weights
    )
    return cell.advance(cell.extras, parts, state, cell.draws)


def projects_all_steps_at_once() -> bool:
    """Whether `x @ w_xh` of all steps is one product, before the loop.

    On accelerators one large product is far faster than T small ones. On a CPU the
    small ones run as fast and stay in the cache, while the large result is written to
    memory and read again: the loop was a quarter slower for it.
    """
    return jax.default_backend() != "cpu"


def columns(start: int, count: int, hidden: int) -> slice:
    """Return the columns of `count` gates from gate number `start` on."""
    return slice(start * hidden, (start + count) * hidden)


def bounded(a: Array, clip: float | None) -> Array:
    """Bound a pre-activation to `[-clip, clip]`."""
    return a if clip is None else jnp.clip(a, -clip, clip)


def activated(name: str, activation: Activation, a: Array) -> Array:
    """Apply the option `name`, which must be elementwise.

    Raises:
        ValueError: If it changes the shape, which a state may take without a word where
            it can be broadcast.
    """
    result = activation(a)
    if jnp.shape(result) != a.shape:
        raise ValueError(
            f"`{name}` made shape {jnp.shape(result)} of {a.shape}; wanted a function "
            "of each element, such as `jnp.tanh`."
        )
    return result


def from_result(activation: Activation) -> Activation:
    """Return the same function, whose derivative keeps its result only.

    The result is kept anyway, where the gate multiplies; JAX would keep a further array
    for the derivative.
    """
    return _FROM_RESULT.get(activation, activation)


@jax.custom_vjp
def _sigmoid(a: Array) -> Array:
    return jax.nn.sigmoid(a)


@jax.custom_vjp
def _tanh(a: Array) -> Array:
    return jnp.tanh(a)


def _kept(function: Activation, a: Array) -> tuple[Array, Array]:
    result = function(a)
    return result, result


_sigmoid.defvjp(
    functools.partial(_kept, jax.nn.sigmoid), lambda s, ct: (ct * (s * (1 - s)),)
)
_tanh.defvjp(functools.partial(_kept, jnp.tanh), lambda t, ct: (ct * (1 - t * t),))
_FROM_RESULT: dict[Activation, Activation] = {
    jax.nn.sigmoid: _sigmoid,
    jnp.tanh: _tanh,
    jax.nn.tanh: _tanh,
}
