"""A module that scans any recurrent cell, or your own step, over time."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import PyTree, Shaped

from jaxnets.functional.recurrence.arguments import check_callables
from jaxnets.functional.recurrence.custom_step import recur_over_maps
from jaxnets.nn.module import Module
from jaxnets.tap import scope, tap
from jaxnets.typing import ArrayLike


class Recurrent(Module):
    """Scan a recurrent cell of Flax, or your own step, over time.

    `state_t, y_t = cell(state_{t-1}, x_t)`. The module calls
    `jaxnets.functional.recur`, and so supports its lengths, resets, checkpoints and
    truncation, and taps.

    Args:
        cell: An NNX module that is called as `cell(state, x_t) -> (state, y_t)`, such
            as `nnx.LSTMCell`, `nnx.OptimizedLSTMCell`, `nnx.GRUCell`, `nnx.SimpleCell`
            or your own; or a function `step(state, x_t) -> (state, y_t)`, which has no
            weights to train. A module may draw random numbers in its step, as
            `nnx.Dropout` does; they differ from step to step. It may not change other
            variables, such as running averages.
        name: Scope of its taps. An output that is also part of the state is `h`; the
            memory cell of Flax's LSTM cells is `c`; other arrays of the state are
            `state`, and other outputs are `y`.

    Raises:
        TypeError: If `cell` cannot be called, or is a class.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnets import nn
        >>> layer = nn.Recurrent(nnx.GRUCell(3, 5, rngs=nnx.Rngs(0)))
        >>> h, ys = layer(jnp.ones((2, 7, 3)), lengths=jnp.array([7, 0]))
        >>> h.shape, ys.shape
        ((2, 5), (2, 7, 5))
        >>> def leaky(h, x_t):
        ...     h = 0.5 * h + x_t
        ...     return h, h
        >>> h, ys = nn.Recurrent(leaky)(jnp.ones((2, 7, 3)), jnp.zeros((2, 3)))
        >>> ys.shape
        (2, 7, 3)

    In contrast to `flax.nnx.RNN`, it returns the state before the outputs, and with
    `reverse` the outputs stay at their time. With lengths, outputs at padding are zero,
    and the final state of a sequence of length 0 is its initial state.
    """

    def __init__(
        self, cell: nnx.Module | Callable[..., Any], *, name: str = "recurrent"
    ):
        check_callables(cell=cell)
        if isinstance(cell, type):
            raise TypeError(
                f"`cell` is the class {cell.__name__}; wanted an instance of it, such "
                "as `nnx.GRUCell(3, 5, rngs=rngs)`."
            )
        self.cell = cell
        self.name = name

    def __call__(
        self,
        x: Shaped[ArrayLike, "..."],
        state: PyTree = None,
        *,
        rngs: nnx.Rngs | nnx.RngStream | None = None,
        **options: Any,
    ) -> tuple[PyTree, PyTree]:
        """Run over the time axis of `x (*batch, T, D)`.

        Args:
            x: Input sequence. If the cell's `num_feature_axes` is not 1, it has that
                many axes after the time axis.
            state: Initial state; None calls the cell's `initialize_carry`.
            rngs: Random streams for `initialize_carry`. The cells of Flax do not need
                them, since their initial state is zero.
            **options: The options of `jaxnets.functional.recur`: `lengths`, `resets`,
                `reverse`, `time_major`, `unroll`, `checkpoint`, `truncate` and
                `clip_cotangent`.

        Returns:
            The final state and the outputs of all steps, with time on the same axis as
            in `x`.

        Raises:
            ValueError: If the features of `x` differ from the cell's `in_features`, if
                `state` is None and the cell has no `initialize_carry`, if the cell
                changes variables, or if `recur` raises it.
            TypeError: If `recur` raises it.
        """
        features = getattr(self.cell, "num_feature_axes", 1)
        self._check_features(x)
        if state is None:
            state = self._initial_state(x, features, rngs, options)
        step, numbered, draws = self.cell, False, []
        if isinstance(self.cell, nnx.Module):
            steps = jnp.shape(x)[_time_axis(x, features, options)]
            step, numbered = _pure_step(self.cell, steps, draws)
        memory = isinstance(self.cell, nnx.LSTMCell | nnx.OptimizedLSTMCell)
        step = _with_taps(step, "c" if memory else "state")
        xs = (x, _step_numbers(x, features, options)) if numbered else x
        with scope(self.name):
            results = recur_over_maps(step, state, xs, features, **options)
        if any(draws):
            # The next call draws other numbers.
            nnx.restore_rngs(nnx.split_rngs(self.cell, splits=1))
        return results

    def _check_features(self, x: Any) -> None:
        """Raise ValueError unless `x` has the `in_features` of the cell."""
        wanted, shape = getattr(self.cell, "in_features", None), jnp.shape(x)
        if isinstance(wanted, int) and shape and shape[-1] != wanted:
            raise ValueError(
                f"`x` has {shape[-1]} features (its last axis; its shape is {shape}), "
                f"but `cell` has `in_features` = {wanted}. They must be equal."
            )

    def _initial_state(self, x, features: int, rngs, options: dict[str, Any]) -> Any:
        """Return the initial state that the cell creates for the shape of `x`."""
        initialize = getattr(self.cell, "initialize_carry", None)
        if initialize is None:
            raise ValueError(
                "`state` is None, and the cell has no `initialize_carry`. Pass the "
                "initial state, such as `jnp.zeros((*batch, hidden))`."
            )
        shape = list(jnp.shape(x))
        del shape[_time_axis(x, features, options)]
        rngs = nnx.Rngs(0) if rngs is None else rngs
        return initialize(tuple(shape), rngs)


def _time_axis(x: Any, features: int, options: dict[str, Any]) -> int:
    return 0 if options.get("time_major") else jnp.ndim(x) - 1 - features


def _step_numbers(x: Any, features: int, options: dict[str, Any]) -> jax.Array:
    """Return the number of each step, with the axes of `x` and features of size 1."""
    shape = (*jnp.shape(x)[: jnp.ndim(x) - features], *(1,) * features)
    axis = _time_axis(x, features, options)
    return jax.lax.broadcasted_iota(jnp.int32, shape, axis)


def _pure_step(
    cell: nnx.Module, steps: int, draws: list[bool]
) -> tuple[Callable[..., Any], bool]:
    """Return a step without side effects, and whether it needs the number of the step.

    It does if the module has random streams, which are split into one for each step. A
    step that draws from them appends True to `draws`.
    """
    definition, whole, variables = nnx.split(cell, nnx.RngState, ...)
    numbered = bool(jax.tree.leaves(whole))
    streams = whole
    if numbered:
        # Split in a copy: in eval mode nothing is drawn, and no stream may change.
        copy = nnx.clone(cell)
        nnx.split_rngs(copy, splits=max(steps, 1))
        streams = nnx.state(copy, nnx.RngState)

    def step(state, inputs):
        x_t, number = inputs if numbered else (inputs, jnp.zeros((), jnp.int32))
        # The array has one number for all sequences, but zero at padding.
        number = jnp.max(number, initial=0)
        own = jax.tree.map(lambda array: array[number], streams)
        running = nnx.merge(definition, own, variables, copy=True)
        result = running(state, x_t)
        _check_unchanged(variables, nnx.state(running, nnx.Not(nnx.RngState)))
        after = jax.tree.leaves(nnx.state(running, nnx.RngState))
        pairs = zip(jax.tree.leaves(own), after, strict=True)
        draws.extend(old is not new for old, new in pairs)
        return result

    return step, numbered


def _check_unchanged(before: Any, after: Any) -> None:
    """Raise ValueError if a step has changed a variable other than a random stream."""
    pairs = zip(
        jax.tree_util.tree_leaves_with_path(before), jax.tree.leaves(after), strict=True
    )
    changed = [
        jax.tree_util.keystr(path, simple=True, separator=".")
        for (path, old), new in pairs
        if old is not new
    ]
    if changed:
        raise ValueError(
            f"`cell` changes its variables {changed} in a step; a loop over time "
            "cannot store such changes. Carry them in the state, or apply the module "
            "that changes them before or after this one."
        )


def _with_taps(step: Callable[..., Any], other: str) -> Callable[..., Any]:
    """Return the step with a tap on each array of the new state and the output.

    An array in both is called h, another one of the state `other`, and another one of
    the output y.
    """

    def tapped_step(state, x_t):
        after, y_t = step(state, x_t)
        carried, outputs = ({id(a) for a in jax.tree.leaves(t)} for t in (after, y_t))
        names = dict.fromkeys(carried, other) | dict.fromkeys(outputs, "y")
        names |= dict.fromkeys(carried & outputs, "h")
        # One tap for both, so that it records the total dL/dh_t.
        arrays = {id(a): a for a in jax.tree.leaves((after, y_t))}
        tapped = {key: tap(array, names[key]) for key, array in arrays.items()}
        return jax.tree.map(lambda array: tapped[id(array)], (after, y_t))

    return tapped_step
