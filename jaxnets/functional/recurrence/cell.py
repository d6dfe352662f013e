"""What a recurrent cell is to the loops that run it.

A step has two stages. The pre-activations are sums of products of `x_t` and `h_{t-1}`
with the weights: they take most of the time, and the gradients of their weights can be
computed after the loop. The update makes the new state of them, element by element.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array

from jaxnets.choices import Candidate
from jaxnets.functional.recurrence.activations import Activation, activated
from jaxnets.functional.recurrence.cell_options import CellOptions, Draws
from jaxnets.tap import tap


class Weights(NamedTuple):
    """Weights of the pre-activations.

    Attributes:
        w_xh: `(D, G*H)`.
        w_hh: `(P, K)`, for the K columns that depend on the state.
        b: `(G*H,)`; None if the update adds it.
        b_h: Bias of the columns of `w_hh` that `x_t` does not enter; None is no bias.
    """

    w_xh: Any
    w_hh: Any
    b: Any
    b_h: Any = None


class Part(NamedTuple):
    """A block of pre-activations, and the columns of the weights that make it.

    Attributes:
        names: The update's names for the equal blocks of columns in this part.
        x: Columns of `w_xh` and `b`; None if `x_t` does not enter.
        h: Columns of `w_hh`; None if the state does not enter.
    """

    names: tuple[str, ...]
    x: slice | None
    h: slice | None


class Hooks(NamedTuple):
    """How a loop wants the equations of an update evaluated.

    Attributes:
        activate: `activate(option, a, name)` applies the activation that the cell
            option `option` holds. `name` is that of the gate, or None if the result
            is no gate.
        tap: `tap(x, name)`, as `jaxnets.gradflow.tap`.
    """

    activate: Callable[..., Array]
    tap: Callable[[Array, str], Array]


class BoundCell(NamedTuple):
    """A cell with its parameters and options.

    Attributes:
        kind: The description of the cell.
        options: The parsed cell options.
        weights: `Weights` of the pre-activations.
        other_params: Pytree of all other parameters, none larger than H or `(H, P)`.
        parts: The pre-activations. Their columns of `w_xh`, and those of `w_hh`, are
            in order and complete.
        recurrent_input: `recurrent_input(other_params, state)` is the `(*batch, P)`
            that `w_hh` multiplies.
        update: `update(other_params, a, state, draws_t, hooks) -> (state, y_t)`, where
            `a` holds the pre-activations by the names of their blocks.
        draws: Random draws of every step, time first.
    """

    kind: "Cell"
    options: CellOptions
    weights: Weights
    other_params: Any
    parts: tuple[Part, ...]
    recurrent_input: Callable[[Any, Any], Any]
    update: Callable[[Any, dict[str, Array], Any, Draws, Hooks], tuple[Any, Any]]
    draws: Draws


class Kernel(NamedTuple):
    """An implementation that a library provides for one kind of cell.

    Attributes:
        name: What `implementation` calls it.
        platform: The backend that has it.
        elsewhere: What a plan says on other backends.
        candidate: `candidate(differs, x, (time, *batch), options)` returns the
            `Candidate` for these arguments; `differs` says in what the cell differs
            from its standard form, and is None if it does not.
        run: `run(params, x, state, options)` returns `(state, ys)`, with the parsed
            `ScanOptions`.
    """

    name: str
    platform: str
    elsewhere: str
    candidate: Callable[..., Candidate]
    run: Callable[..., tuple[Any, Any]]


class Cell(NamedTuple):
    """The description of a kind of recurrent cell, from which all else is generic.

    Attributes:
        name: Name of its function, such as "lstm".
        params: NamedTuple of its parameters.
        gates: The blocks of columns of `w_xh`, in order. An activation turns each
            into a gate or a candidate.
        taps: The names of its taps, in the order of the forward pass.
        widths: `widths(params)` checks the shapes of the parameters and returns the
            number of features of each array of the state, the output first.
        bind: `bind(params, options, mask, draws)` returns the `BoundCell`; `mask` is
            the recurrent dropout's.
        state: NamedTuple of the state; None if the state is `h` alone.
        activations: Names of the options that are activations.
        norms: The fields of `LayerNormParams` that it uses.
        zero_params: Parameters for which None means the same as zeros.
        departures: Pairs of a parameter that the standard form of the cell does not
            have and its name in messages.
        kernels: Implementations of libraries.
    """

    name: str
    params: type
    gates: tuple[str, ...]
    taps: tuple[str, ...]
    widths: Callable[[Any], tuple[int, ...]]
    bind: Callable[[Any, CellOptions, Any, Draws], BoundCell]
    state: type | None = None
    activations: tuple[str, ...] = ("activation", "gate_activation")
    norms: tuple[str, ...] = ("gain_h", "gain_x")
    zero_params: tuple[str, ...] = ()
    departures: tuple[tuple[str, str], ...] = ()
    kernels: tuple[Kernel, ...] = ()


def blocks(cell: BoundCell, parts: Sequence[Array]) -> dict[str, Array]:
    """Split the pre-activations of each part into its blocks."""
    a: dict[str, Array] = {}
    for part, array in zip(cell.parts, parts, strict=True):
        split = jnp.split(array, len(part.names), axis=-1)
        a.update(zip(part.names, split, strict=True))
    return a


def plain_hooks(
    options: CellOptions,
    wrap: Callable[[Activation], Activation] = lambda activation: activation,
) -> Hooks:
    """Return hooks that evaluate the equations as they stand.

    Args:
        options: The cell options.
        wrap: Applied to each activation.
    """

    def activate(option: str, a: Array, name: str | None = None) -> Array:
        del name
        return activated(option, wrap(getattr(options, option)), a)

    return Hooks(activate, tap)


def columns(start: int, count: int, hidden: int) -> slice:
    """Return the columns of `count` gates, the first being gate number `start`."""
    return slice(start * hidden, (start + count) * hidden)
