"""The base class of all recurrent layers: a single layer or a stack of layers."""

from typing import Any

import jax
from flax import nnx
from jaxtyping import Array

from jaxnets.arguments import as_switch, described, list_or_none
from jaxnets.functional.recurrence.cell_options import check_cell_options
from jaxnets.functional.recurrence.cells import CELLS
from jaxnets.nn.options import (
    check_choice,
    check_optional_name,
    check_range,
    frozen,
    stream,
)
from jaxnets.nn.parameters import as_float_or_none, check_counts, drawn_weights
from jaxnets.nn.recurrent.layer import (
    BothDirections,
    OneDirection,
    Outputs,
    Recipe,
    Sequence,
)
from jaxnets.tap import scope


class RecurrentStack(OneDirection):
    """A single layer in one direction, or a stack of `layers`.

    Attributes:
        layers: The layers, first to last, each with its weights or with a `forward` and
            a `backward` layer. None if there is a single layer in one direction; the
            module then has the weights as its own attributes.
        dropout: `nnx.Dropout` between the layers, or None.
    """

    def __init__(
        self,
        cell: str,
        in_features: int,
        hidden: int,
        *,
        init_options: dict[str, Any],
        options: dict[str, Any],
        num_layers: int,
        bidirectional: bool,
        dropout: float,
        dtype: Any,
        name: str,
        rngs: nnx.Rngs,
    ):
        check_counts(in_features=in_features, hidden=hidden, num_layers=num_layers)
        as_switch(bidirectional, "bidirectional")
        check_optional_name(name, "name")
        cell_options = {n: o for n, o in options.items() if n != "implementation"}
        kind = CELLS[cell].cell
        kernels = [kernel.name for kernel in getattr(kind, "kernels", ())]
        implementations = [*kind.implementations, *kernels]
        check_choice(options["implementation"], "implementation", implementations)
        check_cell_options(kind.switches, **cell_options)
        _check_dropout(dropout, num_layers)
        self.name = name
        masks = lambda: nnx.Dropout(frozen(dropout), rngs=stream(rngs, "dropout"))
        self.dropout = masks() if dropout else None

        def draw(features: int) -> dict[str, nnx.Param | None]:
            init, key = CELLS[cell].init, stream(rngs, "params")()
            return drawn_weights(init, key, features, hidden, **init_options)

        recipe = Recipe(cell, draw, options, as_float_or_none(dtype))
        if num_layers == 1 and not bidirectional:
            self.layers = None
            self._init_weights(recipe, in_features, name)
            return
        layers, kind = [], BothDirections if bidirectional else OneDirection
        for number in range(num_layers):
            layers.append(kind(recipe, in_features, f"layer{number}"))
            in_features = layers[-1].out_features
        self.layers = nnx.List(layers)
        self.out_features = layers[-1].out_features

    @property
    def params(self) -> Any:
        """The weights of one layer in one direction, as `functional` takes them."""
        if self.layers is not None:
            raise ValueError(
                "`params` are those of one layer in one direction; this module has "
                "several. Use `layer_params`, which returns all."
            )
        return super().params

    @property
    def layer_params(self) -> list[tuple[Any, ...]]:
        """All weights: for each layer a tuple `(forward,)` or `(forward, backward)`.

        This is the form that `jaxnets.interop` exchanges with other libraries.
        """
        return [
            tuple(direction.params for direction in layer.directions)
            for layer in self._all_layers()
        ]

    def set_layer_params(self, layers: Any) -> None:
        """Replace the weights of all layers and directions, for example from `interop`.

        Args:
            layers: A list with one tuple for each layer, `(forward,)` or `(forward,
                backward)`, as `layer_params` returns it. The weights are converted to
                the dtype of this module. If `b_hn` or `peephole` is None, but the
                module has these weights, they become zero.

        Raises:
            TypeError: If `layers` is not such a list, or has parameters of another
                cell.
            ValueError: If the number of layers, directions or the shapes differ from
                those of this module.
        """
        wanted = [len(layer.directions) for layer in self._all_layers()]
        rows = list_or_none(layers)
        if rows is None or any(not isinstance(row, tuple | list) for row in rows):
            raise TypeError(
                f"`layers` is {described(layers)}; wanted a list with one tuple of "
                "parameters for each layer, as `layer_params` returns it."
            )
        if [len(layer) for layer in layers] != wanted:
            raise ValueError(
                f"`layers` has {[len(layer) for layer in layers]} directions in its "
                f"{len(layers)} layers; this module has {wanted} in {len(wanted)}. "
                "Construct it with the same `num_layers` and `bidirectional`."
            )
        for number, (layer, given) in enumerate(
            zip(self._all_layers(), layers, strict=True)
        ):
            for k, (direction, params) in enumerate(
                zip(layer.directions, given, strict=True)
            ):
                direction.replace_params(params, f"layers[{number}][{k}]")

    def last_h(self, state: Any) -> Array:
        """Return h of the last layer of a returned state `(*batch, out_features)`.

        With two directions they are concatenated: the forward one is the state after
        the last step, and the backward one the state after step 0.
        """
        if self.layers is not None:
            return self.layers[-1].last_h(state[-1])
        return super().last_h(state)

    def __call__(
        self,
        x: Sequence,
        state: Any = None,
        *,
        deterministic: bool | None = None,
        rngs: nnx.Rngs | nnx.RngStream | None = None,
        **options: Any,
    ) -> tuple[Any, Outputs]:
        """Run over the time axis of `x (*batch, T, D)`.

        Args:
            x: Input sequence.
            state: Initial state; None is zeros. For a single layer in one direction it
                is h, or `LSTMState(h, c)`. Otherwise it is a tuple with one element for
                each layer: such a state or, with `bidirectional`, a pair of states,
                (forward, backward).
            deterministic: Whether dropout between the layers is off. None is the mode
                set by `module.train()` and `module.eval()`, as in `nnx.Dropout`.
            rngs: Source of randomness for dropout; None uses the one of the
                constructor.
            **options: Other options of the function in `jaxnets.functional`: those of
                the scan (`lengths`, `resets`, `reverse`, `checkpoint`, `truncate`,
                `implementation` and so on) and, if the cell has them, `layer_norm`,
                `zoneout`, `recurrent_dropout` and `key`. They are the same for all
                layers and directions, except that `key` is split. `reverse` cannot be
                combined with `bidirectional`.

        Returns:
            The final state, with the structure of `state`, and the outputs of all steps
            `(*batch, T, H)`, or `(*batch, T, 2*H)` with `bidirectional`, where the
            forward features come first.
        """
        if self.layers is None:
            return super().__call__(x, state, **options)
        layers, finals = list(self.layers), []
        ys: Any = x
        states = _layer_states(state, len(layers))
        # Not every cell has random options: without a key none is passed.
        key = options.pop("key", None)
        keys = [{} for _ in layers]
        if key is not None:
            keys = [{"key": own} for own in jax.random.split(key, len(layers))]
        with scope(self.name):
            for number, layer in enumerate(layers):
                if number and self.dropout is not None:
                    ys = self.dropout(ys, deterministic=deterministic, rngs=rngs)
                final, ys = layer(ys, states[number], **keys[number], **options)
                finals.append(final)
        return tuple(finals), ys

    def _all_layers(self) -> list[OneDirection | BothDirections]:
        """Return the layers; a single layer is the module itself."""
        return [self] if self.layers is None else list(self.layers)


def _check_dropout(rate: Any, num_layers: int) -> None:
    meaning = (
        "a probability, with which an output is replaced by zero before the next layer"
    )
    check_range(rate, "dropout", 0, 1, meaning)
    if rate and num_layers == 1:
        raise ValueError(
            f"`dropout` is {rate}, but it acts between layers and there is only one. "
            "Pass `num_layers` of at least 2, or add `nnx.Dropout` after this module."
        )


def _layer_states(state: Any, count: int) -> tuple[Any, ...]:
    """Return the initial state of each layer."""
    if state is None:
        return (None,) * count
    # A NamedTuple, such as `LSTMState`, is the state of a single layer.
    if not isinstance(state, tuple | list) or hasattr(state, "_fields"):
        raise TypeError(
            f"`state` is of type {type(state).__name__}; wanted a tuple with the state "
            f"of each of the {count} layers, as a call returns it, or None."
        )
    if len(state) != count:
        raise ValueError(
            f"`state` has {len(state)} elements; wanted {count}, one for each layer."
        )
    return tuple(state)
