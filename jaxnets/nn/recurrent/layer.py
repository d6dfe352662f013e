"""One recurrent layer, in one direction or in both: weights and a function call.

Calls return `(state, ys)`, the order of `jax.lax.scan` and of `jaxnets.functional`.
Each layer puts its taps (`h`, `c` and the gates) below its `name`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Inexact, Num

from jaxnets import functional as F
from jaxnets.functional.recurrence.arguments import check_shape
from jaxnets.functional.recurrence.cells import CELLS
from jaxnets.nn.module import Module
from jaxnets.tap import scope
from jaxnets.typing import ArrayLike


Activation = Callable[[jax.Array], jax.Array]
Sequence = Num[ArrayLike, "*batch_time_features"]
Outputs = Inexact[Array, "*batch_time_hidden"]


class Recipe(NamedTuple):
    """What all layers and directions of a stack have in common.

    Attributes:
        cell: The name of its row in `CELLS`.
        draw: `draw(in_features)` returns new weights for so many features.
        options: The options of the cell, and `implementation`.
    """

    cell: str
    draw: Callable[[int], Any]
    options: dict[str, Any]


class OneDirection(Module):
    """Weights of one cell, and the options that its function is called with.

    Attributes:
        cell: The name of its row in `CELLS`.
        name: The name that its taps stand below.
        out_features: Features of each output: H, or P with a projection.
    """

    def __init__(self, recipe: Recipe, in_features: int, name: str):
        self._hold(recipe, in_features, name)

    def _hold(self, recipe: Recipe, in_features: int, name: str) -> None:
        """Draw weights, and store them and the options as attributes."""
        params = recipe.draw(in_features)
        for field, array in params._asdict().items():
            setattr(self, field, None if array is None else nnx.Param(array))
        for option, value in recipe.options.items():
            setattr(self, option, value)
        self.cell = recipe.cell
        self.name = name
        self.out_features = CELLS[recipe.cell].cell.widths(params)[0]
        # A tuple, not a dict: definitions of modules are hashed.
        self._options = tuple(recipe.options)

    @property
    def params(self) -> Any:
        """The weights as `jaxnets.functional` takes them."""
        kind = CELLS[self.cell].cell.params
        params = [getattr(self, field) for field in kind._fields]
        return kind(*(None if param is None else param[...] for param in params))

    @property
    def directions(self) -> tuple["OneDirection", ...]:
        """The layers of one direction that this is made of: itself."""
        return (self,)

    def last_h(self, state: Any) -> Array:
        """Return h `(*batch, out_features)` of a state."""
        return getattr(state, "h", state)

    def replace_params(self, params: Any, where: str) -> None:
        """Take other weights of the same shapes, in the dtype of those held."""
        cell = CELLS[self.cell].cell
        if not isinstance(params, cell.params):
            raise TypeError(
                f"`{where}` is of type {type(params).__name__}; wanted "
                f"{cell.params.__name__}."
            )
        for field, array in params._asdict().items():
            param = getattr(self, field)
            if array is None and field in cell.zero_params and param is not None:
                array = jnp.zeros(param.shape)
            if (array is None) != (param is None):
                has, wants = ("", "no ") if param is None else ("no ", "")
                raise ValueError(
                    f"`{where}` has {has}`{field}`, and this layer has {wants}such "
                    "weights. Make it with the same options, such as `projection`."
                )
            if param is not None:
                why = "as the weights of this layer"
                check_shape(f"{where}.{field}", array, param.shape, why)
                param[...] = jnp.asarray(array, param.dtype)

    def __call__(
        self, x: Sequence, state: Any = None, **options: Any
    ) -> tuple[Any, Outputs]:
        """Run over the time axis of `x (*batch, T, D)`, with further options."""
        own = {option: getattr(self, option) for option in self._options}
        with scope(self.name):
            return CELLS[self.cell].run(self.params, x, state, **(own | options))


class BothDirections(Module):
    """A layer that reads a sequence from both ends; outputs stand side by side."""

    def __init__(self, recipe: Recipe, in_features: int, name: str):
        self.forward = OneDirection(recipe, in_features, "forward")
        self.backward = OneDirection(recipe, in_features, "backward")
        self.name = name
        self.out_features = self.forward.out_features + self.backward.out_features

    @property
    def directions(self) -> tuple[OneDirection, ...]:
        """The layers of one direction that this is made of."""
        return (self.forward, self.backward)

    def last_h(self, state: Any) -> Array:
        """Return h of both directions, side by side `(*batch, out_features)`."""
        pairs = zip(self.directions, state, strict=True)
        return jnp.concatenate([way.last_h(s) for way, s in pairs], axis=-1)

    def __call__(
        self, x: Sequence, state: Any = None, **options: Any
    ) -> tuple[Any, Outputs]:
        """Run over `x (*batch, T, D)`; states are pairs, (forward, backward)."""
        # The modules take the place of weights, so each has its own taps and options.
        run = lambda way, *arguments, **options: way(*arguments, **options)
        with scope(self.name):
            return F.bidirectional(
                run, self.forward, self.backward, x, state, **options
            )
