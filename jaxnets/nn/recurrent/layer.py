"""One recurrent layer, in one direction or in both: weights, and a call of a function.

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
from jaxnets.tap import scope
from jaxnets.typing import ArrayLike


Activation = Callable[[jax.Array], jax.Array]
Sequence = Num[ArrayLike, "*batch_time_features"]
Outputs = Inexact[Array, "*batch_time_hidden"]


class Recipe(NamedTuple):
    """What all layers and directions of a stack have in common.

    Attributes:
        function: `functional.rnn`, `gru` or `lstm`.
        draw: `draw(in_features)` returns new weights for so many features.
        cell_options: What the function is called with, beside the scan options.
    """

    function: Callable[..., Any]
    draw: Callable[[int], Any]
    cell_options: dict[str, Any]


class OneDirection(nnx.Module):
    """Weights of one recurrent function, and the cell options it is called with."""

    w_hh: nnx.Param

    def __init__(self, recipe: Recipe, in_features: int, name: str):
        self.hold(recipe, in_features, name)

    def hold(self, recipe: Recipe, in_features: int, name: str) -> None:
        """Draw weights, and keep them and the options as attributes."""
        params = recipe.draw(in_features)
        for field, array in params._asdict().items():
            setattr(self, field, None if array is None else nnx.Param(array))
        for option, value in recipe.cell_options.items():
            setattr(self, option, value)
        self.function = recipe.function
        self.params_type = type(params)
        self.name = name
        # A tuple, not a dict: definitions of modules are hashed.
        self.cell_options = tuple(recipe.cell_options)

    @property
    def params(self) -> Any:
        """The weights as `jaxnets.functional` takes them."""
        held = [getattr(self, field) for field in self.params_type._fields]
        arrays = [None if param is None else param[...] for param in held]
        return self.params_type(*arrays)

    @property
    def directions(self) -> tuple["OneDirection", ...]:
        """The layers of one direction that this is made of: itself."""
        return (self,)

    @property
    def out_features(self) -> int:
        """Features of each output: H, or P with a projection."""
        return self.w_hh.shape[0]

    def last_h(self, state: Any) -> Array:
        """Return h `(*batch, out_features)` of a state."""
        return getattr(state, "h", state)

    def replace_params(self, params: Any, where: str) -> None:
        """Take other weights of the same shapes, in the dtype of those held."""
        if not isinstance(params, self.params_type):
            raise TypeError(
                f"`{where}` is of type {type(params).__name__}; wanted "
                f"{self.params_type.__name__}."
            )
        for field, array in params._asdict().items():
            param = getattr(self, field)
            # No bias inside of the reset gate and no peepholes are such of zero.
            if array is None and field in ("b_hn", "peephole") and param is not None:
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
        """Run over the time axis of `x (*batch, T, D)`; options of the scan follow."""
        cell_options = {option: getattr(self, option) for option in self.cell_options}
        with scope(self.name):
            return self.function(self.params, x, state, **cell_options, **options)


class BothDirections(nnx.Module):
    """A layer that reads a sequence from both ends; outputs stand side by side."""

    def __init__(self, recipe: Recipe, in_features: int, name: str):
        self.forward = OneDirection(recipe, in_features, "forward")
        self.backward = OneDirection(recipe, in_features, "backward")
        self.name = name

    @property
    def directions(self) -> tuple[OneDirection, ...]:
        """The layers of one direction that this is made of."""
        return (self.forward, self.backward)

    @property
    def out_features(self) -> int:
        """Features of each output, of both directions together."""
        return self.forward.out_features + self.backward.out_features

    def last_h(self, state: Any) -> Array:
        """Return h of both directions, side by side `(*batch, out_features)`."""
        pairs = zip(self.directions, state, strict=True)
        return jnp.concatenate([way.last_h(s) for way, s in pairs], axis=-1)

    def __call__(
        self, x: Sequence, state: Any = None, **options: Any
    ) -> tuple[Any, Outputs]:
        """Run over `x (*batch, T, D)`; states are pairs, (forward, backward)."""
        # The modules stand for their weights, so that each has its taps and options.
        run = lambda way, *arguments, **options: way(*arguments, **options)
        with scope(self.name):
            return F.bidirectional(
                run, self.forward, self.backward, x, state=state, **options
            )
