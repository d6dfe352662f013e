"""`trace_structure`: what follows what in a loss, read from the traced program."""

from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from jaxnets.gradflow.program.added_taps import with_replay
from jaxnets.gradflow.program.dataflow.blocked import Blocked, blocked
from jaxnets.gradflow.program.dataflow.flatness import may_be_flat
from jaxnets.gradflow.program.dataflow.graph import Graph, reach, reverse
from jaxnets.gradflow.program.dataflow.repeats import unrolled
from jaxnets.gradflow.program.dataflow.series import chains
from jaxnets.gradflow.program.dataflow.squashed import Twice, squashed_twice
from jaxnets.gradflow.program.dataflow.taps import live_taps
from jaxnets.gradflow.program.replay import Replay
from jaxnets.gradflow.program.tracing import trace_loss


class Structure(NamedTuple):
    """The structure of a loss; taps have the names that `measure_module` gives them.

    Attributes:
        chains: Series of taps, the main one first. All of the gradient at a tap of a
            series has passed through the next one, so that they can be compared.
        axes: What the first axis of a tap's statistics counts: "layers" in a scan over
            parameters, "time" in any other scan, and "vmap". Calls of one module in a
            Python loop over time have "time" too, and are one step each.
        repeated: The taps of modules that are called several times.
        blocked: The parameters that no gradient can reach, by their path.
        activations: The activation after which a tap stands, such as "relu".
        sources: The taps that an activation's argument comes from, by its own tap
            without the number of the call: queries and keys meet in a softmax.
        squashed: Where the loss takes a softmax of a softmax, or a sigmoid of a
            sigmoid.
        may_be_flat: Sigmoids and softmaxes that lose no gradient where they are flat,
            by their own tap: "log" or "gate".
    """

    chains: tuple[tuple[str, ...], ...]
    axes: dict[str, str]
    repeated: frozenset[str]
    blocked: dict[str, Blocked]
    activations: dict[str, str]
    sources: dict[str, tuple[str, ...]]
    squashed: tuple[Twice, ...] = ()
    may_be_flat: Mapping[str, str] = MappingProxyType({})


def trace_structure(
    loss: Callable[..., Any], model: Any, *args: Any, has_aux: bool = False
) -> Structure:
    """Trace `loss(model, *args)` and return what its program says about its gradient.

    Nothing is computed. The order of the taps and the branches come from the flow of
    the data, so that names have no part in them: a tap belongs to the series of the one
    that post-dominates it, which means that all paths to the loss pass through that.
    Paths without a derivative, such as through `jax.lax.stop_gradient`, are no paths.

    Args:
        loss: `loss(model, *args)` that returns a scalar, or `(scalar, aux)` with
            `has_aux=True`.
        model: Any `nnx.Module`.
        *args: Further arguments.
        has_aux: Whether `loss` returns `(scalar, aux)`.

    Returns:
        The `Structure`.

    Raises:
        TypeError: If `model` is not an `nnx.Module` or `loss` is not a function.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> rngs = nnx.Rngs(0)
        >>> layers = [nnx.Linear(2, 2, rngs=rngs) for _ in range(3)]
        >>> def loss(model, x):
        ...     x = jax.lax.stop_gradient(model.layers[0](x))
        ...     return jnp.sum(model.layers[2](model.layers[1](x)))
        >>> structure = trace_structure(loss, nnx.Sequential(*layers), jnp.ones((1, 2)))
        >>> structure.chains
        (('layers/1', 'layers/2'),)
        >>> {path: why.reason for path, why in structure.blocked.items()}
        {'layers/0/bias': 'stop_gradient', 'layers/0/kernel': 'stop_gradient'}

    Source: Cooper, Harvey and Kennedy 2001, "A Simple, Fast Dominance Algorithm".
    """
    replay = Replay()
    traced = trace_loss(with_replay(loss, replay), model, args, has_aux)
    graph = Graph(traced.jaxpr)
    count = len(traced.params)
    params = dict(zip(traced.params, graph.inputs[:count], strict=True))
    (end,) = graph.outputs
    if end is None:  # The loss is a constant.
        stopped = dict.fromkeys(params, Blocked("unused", ""))
        return Structure((), {}, frozenset(), stopped, {}, {})
    forward = reach(reverse(graph.smooth), params.values())
    live = forward & reach(graph.smooth, [end])
    edges = [
        [parent for parent in parents if parent in live] if vertex in live else []
        for vertex, parents in enumerate(graph.smooth)
    ]
    data = graph.inputs[count + traced.others :]
    weights = list(params.values())
    taps = live_taps(graph, live, weights, traced.modules)
    taps, repeated = unrolled(graph, taps, weights, data, traced.modules.keys())
    not_added = [tap for tap in taps if tap.base not in replay.added]
    activations = {
        tap.name: replay.kinds[tap.base] for tap in taps if tap.base in replay.kinds
    }
    squashing = {
        tap.name: tap.vertex
        for tap in taps
        if activations.get(tap.name) in ("sigmoid", "softmax")
    }
    found = chains(edges, not_added, end)
    return Structure(
        chains=tuple(each_layer_once(chain, activations) for chain in found),
        axes={tap.name: tap.axis for tap in taps if tap.axis},
        repeated=repeated,
        blocked=blocked(graph, params, end),
        activations=activations,
        sources=replay.sources,
        squashed=squashed_twice(graph),
        may_be_flat=may_be_flat(graph, squashing, params.values()),
    )


def each_layer_once(
    chain: Sequence[str], activations: Collection[str]
) -> tuple[str, ...]:
    """Return a chain without the layers whose activation comes next in it.

    A layer and its activation count as one, also where only the names of the taps say
    what belongs together, as in Linen.

    Args:
        chain: Names of taps.
        activations: The names of those after activations.

    Example:
        >>> each_layer_once(["Dense_0", "Dense_0/relu", "Dense_1"], ["Dense_0/relu"])
        ('Dense_0/relu', 'Dense_1')
    """
    base = lambda tap: tap.partition("#")[0]
    following = [*chain[1:], ""]
    return tuple(
        tap
        for tap, after in zip(chain, following, strict=True)
        if not (after in activations and base(after).rpartition("/")[0] == base(tap))
    )
