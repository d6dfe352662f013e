"""One compiled step of measurement and, if asked for, training."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnets.gradflow.evidence.arrays import ArrayStats, array_name, array_stats
from jaxnets.gradflow.logs import as_pair
from jaxnets.gradflow.measurement import Flow
from jaxnets.gradflow.modules import measure_module
from jaxnets.gradflow.program import Structure, tap_activations, trace_structure
from jaxnets.gradflow.trees import unit_and_norm


# The least cosine between two vectors that are multiples of each other, in float32.
PARALLEL = 0.9999


class Measured(NamedTuple):
    """What one step found.

    Attributes:
        flow: The loss, its gradient and the taps.
        arrays: The numbers of each parameter array by its path.
        rate: The learning rate, if the update is a multiple of the gradient, and NaN
            if it is not; None without an optimiser.
    """

    flow: Flow
    arrays: dict[str, ArrayStats]
    rate: jax.Array | None = None


class Network(NamedTuple):
    """A model between two steps: its graph definition, its arrays, and the optimiser's.

    The graph definition is a static argument of the compiled step, so models of one
    structure share a program.
    """

    graphdef: Any
    state: Any
    opt_state: Any


def as_network(model: Any, optimizer: Any) -> Network:
    """Return a model before its first step. The model itself is never changed."""
    from flax import nnx

    graphdef, state = nnx.split(model)
    opt_state = None if optimizer is None else optimizer.init(_params(model))
    return Network(graphdef, state, opt_state)


def as_model(network: Network) -> Any:
    """Return the model of a network."""
    from flax import nnx

    return nnx.merge(network.graphdef, network.state, copy=True)


def moved_along(network: Network, grads: Any, length: float) -> Network:
    """Return a network that is moved along its negative gradient.

    Args:
        network: The network.
        grads: The gradient of its parameters.
        length: How far, in units of the norm of all parameters.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> model = nnx.Linear(1, 1, use_bias=False, rngs=nnx.Rngs(0))
        >>> model.kernel[...] = jnp.full((1, 1), 3.0)
        >>> grads = nnx.grad(lambda model: model(jnp.ones(1))[0])(model)
        >>> as_model(moved_along(as_network(model, None), grads, 2.0)).kernel[...]
        Array([[-3.]], dtype=float32)
    """
    from flax import nnx

    model = as_model(network)
    params = _params(model)
    floating = lambda a: jnp.issubdtype(jnp.result_type(a), jnp.floating)
    _, size = unit_and_norm([p for p in jax.tree.leaves(params) if floating(p)])
    _, norm = unit_and_norm([g for g in jax.tree.leaves(grads) if floating(g)])
    step = length * size / jnp.where(norm == 0, 1, norm)
    moved = jax.tree.map(
        lambda p, g: (p - step * g).astype(p.dtype) if floating(g) else p, params, grads
    )
    nnx.update(model, moved)
    return network._replace(state=nnx.state(model))


def is_finite(measured: Measured) -> bool:
    """Return whether the loss and all gradients of a step are finite."""
    norms = [array.gradient for array in measured.arrays.values()]
    return all(bool(jnp.isfinite(number)) for number in (measured.flow.value, *norms))


def as_objective(loss: Callable[..., Any]) -> Callable[..., tuple[Any, None]]:
    """Return a loss that returns `(scalar, None)`, with a tap after each activation."""

    def objective(model: Any, *args: Any) -> tuple[Any, None]:
        result = loss(model, *args)
        return (as_pair(result)[0] if isinstance(result, tuple) else result), None

    return tap_activations(objective)


def loss_structure(
    loss: Callable[..., Any], model: Any, args: tuple[Any, ...]
) -> Structure:
    """Return the structure of a loss that may have an aux."""
    return trace_structure(as_objective(loss), model, *args, has_aux=True)


def make_step(
    loss: Callable[..., Any], optimizer: Any
) -> Callable[[Network, tuple[Any, ...]], tuple[Measured, Network]]:
    """Return `step(network, args) -> (measured, network after the update)`.

    One program measures and trains, because compiling takes most of the time. Without
    an optimiser each array moves by a hundredth of its size, which shows whether a
    part that starts at zero wakes up.

    Args:
        loss: `loss(model, *args)` that returns a scalar or `(scalar, aux)`.
        optimizer: An Optax transform, or None.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> loss = lambda model, x: jnp.mean(model(x) ** 2)
        >>> network = as_network(nnx.Linear(2, 3, rngs=nnx.Rngs(0)), None)
        >>> measured, _ = make_step(loss, None)(network, (jnp.ones((4, 2)),))
        >>> list(measured.arrays)
        ['bias', 'kernel']
    """
    from flax import nnx

    objective = as_objective(loss)

    @functools.partial(jax.jit, static_argnums=(0, 1))
    def compiled(graphdef, args_graphdef, state, opt_state, args_state):
        model = nnx.merge(graphdef, state, copy=True)
        args = nnx.merge(args_graphdef, args_state, copy=True)
        flow = measure_module(objective, model, *args, has_aux=True)
        params, updates, after, rate = _params(model), None, None, None
        if optimizer is not None:
            updates, opt_state = _update(
                optimizer, flow, opt_state, params, (objective, model, args)
            )
            after = _moved(params, updates)
            rate = _learning_rate(flow.grads, updates)
        arrays = array_stats(params, flow.grads, updates, after)
        nnx.update(model, _nudged(params, flow.grads) if after is None else after)
        return Measured(flow, arrays, rate), nnx.state(model), opt_state

    def step(network: Network, args: tuple[Any, ...]) -> tuple[Measured, Network]:
        args_graphdef, args_state = nnx.split(args)
        measured, state, opt_state = compiled(
            network.graphdef,
            args_graphdef,
            network.state,
            network.opt_state,
            args_state,
        )
        return measured, network._replace(state=state, opt_state=opt_state)

    return step


def array_dtypes(model: Any) -> list[tuple[str, str, float]]:
    """Return path, dtype and bits of each parameter array of a model.

    Example:
        >>> from flax import nnx
        >>> array_dtypes(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
        [('bias', 'float32', 32.0), ('kernel', 'float32', 32.0)]
    """
    return [
        (array_name(path), str(leaf.dtype), 8.0 * leaf.dtype.itemsize)
        for path, leaf in jax.tree_util.tree_leaves_with_path(_params(model))
    ]


def _params(model: Any) -> Any:
    from flax import nnx

    return nnx.state(model, nnx.Param)


def _update(
    optimizer: Any, flow: Flow, opt_state: Any, params: Any, evaluated: tuple[Any, ...]
) -> tuple[Any, Any]:
    """Return the updates and the optimiser's state, for any Optax transform.

    Some transforms need the loss or evaluate it again: `reduce_on_plateau`, `lbfgs`.
    """
    import optax
    from flax import nnx

    objective, model, args = evaluated
    graphdef, _, rest = nnx.split(model, nnx.Param, ...)

    def value_fn(at: Any) -> jax.Array:
        return objective(nnx.merge(graphdef, at, rest, copy=True), *args)[0]

    # The gradient of whole numbers has a type of its own, which no transform can use.
    grads = jax.tree.map(
        lambda param, grad: (
            grad if grad.dtype == param.dtype else jnp.zeros_like(param)
        ),
        params,
        flow.grads,
    )
    return optax.with_extra_args_support(optimizer).update(
        grads, opt_state, params, value=flow.value, grad=grads, value_fn=value_fn
    )


def _learning_rate(grads: Any, updates: Any) -> jax.Array:
    """Return the number eta of an update `-eta gradient`; NaN for any other update."""
    pairs = [
        (grad, update)
        for grad, update in zip(
            jax.tree.leaves(grads), jax.tree.leaves(updates), strict=True
        )
        if jnp.issubdtype(jnp.result_type(grad), jnp.floating)
    ]
    gradient, size = unit_and_norm([grad for grad, _ in pairs])
    update, length = unit_and_norm([update for _, update in pairs])
    dots = [-jnp.sum(u * g) for u, g in zip(update, gradient, strict=True)]
    return jnp.where(sum(dots) > PARALLEL, length / size, jnp.nan)


def _nudged(params: Any, grads: Any) -> Any:
    """Return the parameters after a small step, of one size for every array."""

    def moved(param: jax.Array, grad: jax.Array) -> jax.Array:
        if not jnp.issubdtype(param.dtype, jnp.floating):
            return param
        (unit,), norm = unit_and_norm([grad])
        (_,), size = unit_and_norm([param])
        step = 0.01 * jnp.maximum(size, 0.1 * param.size**0.5)
        return jnp.where(norm > 0, param - step * unit, param).astype(param.dtype)

    return jax.tree.map(moved, params, grads)


def _moved(params: Any, updates: Any) -> Any:
    import optax

    return optax.apply_updates(params, updates)
