"""The arrays that a method returns, and the names of their taps."""

from typing import Any

import jax

from jaxnets.tap import tap


def tap_output(output: Any, name: str, cls: type) -> Any:
    """Tap every array of `output`; one that occurs twice is tapped once.

    Args:
        output: What a method of a module returned.
        name: The name of the tap; the path of an array follows if there are several.
        cls: The class of the module.

    Returns:
        `output`.
    """
    from flax import nnx

    stops = lambda node: isinstance(node, nnx.Pytree | nnx.Variable)
    leaves, treedef = jax.tree.flatten_with_path(output, is_leaf=stops)
    arrays = {
        id(leaf): (path, leaf)
        for path, leaf in reversed(leaves)
        if isinstance(leaf, jax.Array)
    }
    single = len(arrays) == 1
    tapped = {
        key: tap(leaf, name if single else f"{name}/{_path_name(path, cls)}")
        for key, (path, leaf) in reversed(arrays.items())
    }
    return treedef.unflatten([tapped.get(id(leaf), leaf) for _, leaf in leaves])


def _path_name(path: tuple[Any, ...], cls: type) -> str:
    """Return the path of an array in the output; of a recurrent cell's, its name."""
    from flax import nnx

    name = jax.tree_util.keystr(path, simple=True, separator="/")
    if issubclass(cls, nnx.LSTMCell | nnx.OptimizedLSTMCell):
        return {"0/0": "c", "0/1": "h"}.get(name, name)
    if issubclass(cls, nnx.RNNCellBase):
        # A cell whose output is not its state.
        return {"0": "h", "1": "y"}.get(name, name)
    return name
