"""One recurrent layer, in one direction or in both: weights and a function call.

Calls return `(state, ys)`, in the order of `jax.lax.scan` and `jaxnets.functional`. The
`name` of a layer is the scope of its taps (`h`, `c` and the gates).
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
from jaxnets.nn.options import frozen
from jaxnets.nn.parameters import cast
from jaxnets.tap import scope
from jaxnets.typing import ArrayLike


Activation = Callable[[jax.Array], jax.Array]
Sequence = Num[ArrayLike, "*batch_time_features"]
Outputs = Inexact[Array, "*batch_time_hidden"]


class Recipe(NamedTuple):
    """The arguments that all layers and directions of a stack share.

    Attributes:
        cell: The name of its row in `CELLS`.
        draw: `draw(in_features)` draws the weights for this number of features, by
            name.
        options: The options of the cell, and `implementation`.
        dtype: The dtype to compute in, or None.
    """

    cell: str
    draw: Callable[[int], dict[str, nnx.Param | None]]
    options: dict[str, Any]
    dtype: Any


class OneDirection(Module):
    """Weights of one cell, and the options that its function is called with.

    Attributes:
        cell: The name of its row in `CELLS`.
        name: The scope of its taps.
        out_features: Features of each output: H, or P with a projection.
    """

    def __init__(self, recipe: Recipe, in_features: int, name: str):
        self._init_weights(recipe, in_features, name)

    def _init_weights(self, recipe: Recipe, in_features: int, name: str) -> None:
        """Draw the weights, and set them and the options as attributes."""
        for field, param in recipe.draw(in_features).items():
            setattr(self, field, param)
        for option, value in recipe.options.items():
            setattr(self, option, frozen(value))
        self.cell = recipe.cell
        self.dtype = recipe.dtype
        self.name = name
        self.out_features = CELLS[recipe.cell].cell.widths(self.params)[0]
        # A tuple, not a dict, because the graph definition of a module is hashed.
        self._options = tuple(recipe.options)

    @property
    def params(self) -> Any:
        """The weights as `jaxnets.functional` takes them."""
        kind = CELLS[self.cell].cell.params
        params = [getattr(self, field) for field in kind._fields]
        return kind(*(None if param is None else param[...] for param in params))

    @property
    def directions(self) -> tuple["OneDirection", ...]:
        """The layer itself, as the only direction."""
        return (self,)

    def last_h(self, state: Any) -> Array:
        """Return h `(*batch, out_features)` of a state."""
        return getattr(state, "h", state)

    def replace_params(self, params: Any, where: str) -> None:
        """Replace the weights by others of the same shapes; their dtype stays."""
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
                    "weights. Construct it with the same options, such as `projection`."
                )
            if param is not None:
                why = "to match the weights of this layer"
                check_shape(f"{where}.{field}", array, param.shape, why)
                param[...] = jnp.asarray(array, param.dtype)

    def __call__(
        self, x: Sequence, state: Any = None, **options: Any
    ) -> tuple[Any, Outputs]:
        """Run over the time axis of `x (*batch, T, D)`; `options` override its own."""
        own = {option: getattr(self, option) for option in self._options}
        params, x, state = cast(self.dtype, self.params, x, state)
        with scope(self.name):
            return CELLS[self.cell].run(params, x, state, **(own | options))


class BothDirections(Module):
    """A layer that runs in both directions of time; the outputs are concatenated."""

    def __init__(self, recipe: Recipe, in_features: int, name: str):
        self.forward = OneDirection(recipe, in_features, "forward")
        self.backward = OneDirection(recipe, in_features, "backward")
        self.name = name
        self.out_features = self.forward.out_features + self.backward.out_features

    @property
    def directions(self) -> tuple[OneDirection, ...]:
        """The layers of both directions, (forward, backward)."""
        return (self.forward, self.backward)

    def last_h(self, state: Any) -> Array:
        """Return h of both directions, concatenated to `(*batch, out_features)`."""
        pairs = zip(self.directions, state, strict=True)
        return jnp.concatenate([direction.last_h(s) for direction, s in pairs], axis=-1)

    def __call__(
        self, x: Sequence, state: Any = None, **options: Any
    ) -> tuple[Any, Outputs]:
        """Run over `x (*batch, T, D)`; states are pairs, (forward, backward)."""
        # The modules are passed as the parameters, and each calls its own function.
        run = lambda direction, *arguments, **options: direction(*arguments, **options)
        with scope(self.name):
            return F.bidirectional(
                run, self.forward, self.backward, x, state, **options
            )
