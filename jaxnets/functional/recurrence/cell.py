"""The description of a recurrent cell, which the loops over time run.

A step has two stages. The pre-activations are sums of products of `x_t` and `h_{t-1}`
with the weights. They take most of the time, and the gradients of their weights can be
computed after the loop. The update computes the new state from them, element by
element.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxnets.choices import Candidate
from jaxnets.functional.recurrence.activations import (
    SIGMOID,
    TANH,
    Activation,
    activated,
)
from jaxnets.functional.recurrence.cell_options import CellOptions, Draws
from jaxnets.tap import tap


class Weights(NamedTuple):
    """Weights of the pre-activations.

    Attributes:
        w_xh: `(D, G*H)`.
        w_hh: `(P, K)`, for the K columns that depend on the state.
        b: `(G*H,)`; None if the update adds the biases.
        b_h: Bias of the columns of `w_hh` that have none in `w_xh`; None means no bias.
    """

    w_xh: Any
    w_hh: Any
    b: Any
    b_h: Any = None


class Part(NamedTuple):
    """A part of the pre-activations, and the columns of the weights that it is made of.

    Attributes:
        names: Names of the blocks of columns in this part, which are of equal size.
        x: Columns of `w_xh` and `b`; None if the part does not depend on `x_t`.
        h: Columns of `w_hh`; None if the part does not depend on the state.
    """

    names: tuple[str, ...]
    x: slice | None
    h: slice | None


class Hooks(NamedTuple):
    """The functions that a loop passes to the update: activations and taps.

    Attributes:
        activate: `activate(option, a, name)` applies the activation in the cell option
            `option`. `name` is the name of the gate, or None if the result is no gate.
        tap: `tap(x, name)`, as `jaxnets.gradflow.tap`.
    """

    activate: Callable[..., Array]
    tap: Callable[[Array, str], Array]


class BoundCell(NamedTuple):
    """A cell with its parameters and options.

    Attributes:
        kind: The description of the cell.
        options: The parsed cell options, without the gains of `layer_norm`, which are
            in `other_params`.
        weights: `Weights` of the pre-activations.
        other_params: Pytree of all other parameters. The backward loops carry the sums
            of their cotangents, so they should be small.
        parts: The parts of the pre-activations. Together they have all columns of
            `w_xh` and `w_hh`, in order.
        recurrent_input: `recurrent_input(other_params, state)` is the `(*batch, P)`
            that `w_hh` multiplies.
        update: `update(other_params, a, state, draws_t, hooks) -> (state, y_t)`, where
            `a` maps the names of the blocks to pre-activations.
        draws: Random draws of all steps, time first.
    """

    kind: "Cell"
    options: CellOptions
    weights: Weights
    other_params: Any
    parts: tuple[Part, ...]
    recurrent_input: Callable[[Any, Any], Any]
    update: Callable[[Any, dict[str, Array], Any, Draws, Hooks], tuple[Any, Any]]
    draws: Draws

    def without_arrays(self) -> "BoundCell":
        """Return the cell for functions that receive its arrays as arguments.

        JAX keeps these functions, and with them all that they close over.
        """
        other_params = jax.tree.map(lambda _: None, self.other_params)
        return self._replace(weights=None, other_params=other_params, draws=Draws())


class Kernel(NamedTuple):
    """An implementation of one kind of cell for some platforms.

    Attributes:
        name: Its name, as passed to `implementation`.
        candidate: `candidate(platform, nonstandard, params, x, (time, *batch),
            options)` returns the `Candidate` on one of `jaxnets.platforms.PLATFORMS`
            for these arguments; `nonstandard` names a feature of the cell that its
            standard form does not have, or is None.
        run: `run(platform, params, x, state, options)` returns `(state, ys)`, with the
            parsed `ScanOptions`.
    """

    name: str
    candidate: Callable[..., Candidate]
    run: Callable[..., tuple[Any, Any]]


class Cell(NamedTuple):
    """The description of a kind of recurrent cell; all other code is generic.

    Attributes:
        name: Name of its function, such as "lstm".
        params: The NamedTuple type of its parameters.
        gates: Names of the blocks of columns of `w_xh`, in order. Each becomes a gate
            or a candidate through an activation.
        taps: The names of its taps, in the order of the forward pass.
        widths: `widths(params)` checks the shapes of the parameters and returns the
            number of features of each array of the state, the output first.
        bind: `bind(params, options, mask, draws)` returns the `BoundCell`; `mask` is
            the mask of recurrent dropout, or None.
        state: The NamedTuple type of the state; None if the state is `h` alone.
        activations: The options that are activations, with the functions that they
            are in its standard form.
        switches: The options that only this cell has and that are true or false, with
            their values in its standard form.
        norms: Names of the fields of `LayerNormParams` that it uses.
        zero_params: Names of the parameters for which None means zeros.
        nonstandard_params: Parameters that the standard form of the cell does not have,
            as pairs of the field and a name for messages.
        kernels: Implementations for some platforms.
    """

    name: str
    params: type
    gates: tuple[str, ...]
    taps: tuple[str, ...]
    widths: Callable[[Any], tuple[int, ...]]
    bind: Callable[[Any, CellOptions, Any, Draws], BoundCell]
    state: type | None = None
    activations: Mapping[str, tuple[Activation, ...]] = MappingProxyType(
        {"activation": TANH, "gate_activation": SIGMOID}
    )
    switches: Mapping[str, bool] = MappingProxyType({})
    norms: tuple[str, ...] = ("gain_h", "gain_x")
    zero_params: tuple[str, ...] = ()
    nonstandard_params: tuple[tuple[str, str], ...] = ()
    kernels: tuple[Kernel, ...] = ()

    @property
    def implementations(self) -> tuple[str, ...]:
        """The names that force an implementation, without kernels."""
        return ("in_place", "split", "scan")


def nonstandard_feature(
    cell: Cell, options: CellOptions, params: Any, mask: Any
) -> str | None:
    """Name a feature that the standard form of the cell does not have, or return None.

    Args:
        cell: The description of the cell.
        options: The parsed options.
        params: The parameters.
        mask: The mask of recurrent dropout, or None.
    """
    features = {
        "`clip`": options.clip is not None,
        "`layer_norm`": options.layer_norm is not None,
        "`zoneout`": any(options.zoneout),
        "`recurrent_dropout`": mask is not None,
        "`clip_cotangent`": options.clip_cotangent is not None,
    }
    for name, standard in cell.switches.items():
        value = options.switches[name]
        features[f"`{name}={value}`"] = value != standard
    for field, text in cell.nonstandard_params:
        features[text] = getattr(params, field) is not None
    return next((name for name, used in features.items() if used), None)


def blocks(cell: BoundCell, parts: Sequence[Array]) -> dict[str, Array]:
    """Split the pre-activations of each part into blocks, by name."""
    a: dict[str, Array] = {}
    for part, array in zip(cell.parts, parts, strict=True):
        split = jnp.split(array, len(part.names), axis=-1)
        a.update(zip(part.names, split, strict=True))
    return a


def plain_hooks(
    options: CellOptions,
    wrap: Callable[[Activation], Activation] = lambda activation: activation,
) -> Hooks:
    """Return hooks that apply the activations and taps and do nothing else.

    Args:
        options: The cell options.
        wrap: Applied to each activation.
    """

    def activate(option: str, a: Array, name: str | None = None) -> Array:
        del name
        return activated(option, wrap(getattr(options, option)), a)

    return Hooks(activate, tap)


def columns(start: int, count: int, hidden: int) -> slice:
    """Return the columns of `count` gates from gate number `start` on."""
    return slice(start * hidden, (start + count) * hidden)
