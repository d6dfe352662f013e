"""Recurrences over time: forward, and with the gradients for parameters and input."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp

from jaxnets import functional as F
from jaxnets.bench.cases import Case, Program, with_gradients
from jaxnets.bench.flax import recurrence as flax_recurrent
from jaxnets.bench.grid import Row
from jaxnets.functional.recurrence.cells import CELLS
from jaxnets.functional.recurrence.linear_cell import LinearCell


# The implementations that a row with `forms` compares, by whether the gates of the cell
# see the state.
LOOPS = ("split", "scan")
PARALLEL = ("scan", "associative", "associative_log")
FORMS = tuple(dict.fromkeys(LOOPS + PARALLEL))
# The value of `forms` with which the kernel is among them: not on a CPU, where it is
# only interpreted.
WITH_KERNELS = "kernels"


def cases(row: Row) -> Iterator[Case]:
    """Yield the two cases of a row: forward, and forward with all gradients.

    A row with `checkpoint`, which concerns gradients only, has only the second case.
    """
    programs, checkpointed = _programs(row.spec), "checkpoint" in row.spec
    in_torch = not checkpointed and "forms" not in row.spec
    if not checkpointed:
        yield Case(row, "forward", programs, in_torch)
    yield Case(row, "gradients", with_gradients(programs), in_torch)


def _programs(spec: dict[str, Any]) -> dict[str, Program]:
    x_key, params_key = jax.random.split(jax.random.key(1, impl="rbg"))
    shape = (spec["batch"], spec["time"], spec["in_features"])
    x = jax.random.normal(x_key, shape, jnp.dtype(spec["dtype"]))
    if spec["function"] == "bidirectional_lstm":
        layers = _bidirectional_layers(params_key, spec)
        flax, state = flax_recurrent.bidirectional_lstm(layers)
        return {
            "ours": Program(_bidirectional_lstm, (layers, x)),
            "flax": Program(flax, (state, x)),
        }
    run = CELLS[spec["function"]].run
    params = _params(params_key, spec["function"], spec["in_features"], spec)
    if "checkpoint" in spec:
        if spec["time_major"]:
            x = x.swapaxes(0, 1)
        run = functools.partial(run, time_major=spec["time_major"])
        checkpointed = functools.partial(run, checkpoint=spec["checkpoint"])
        return {
            "ours": Program(_outputs(checkpointed), (params, x)),
            "stored": Program(_outputs(run), (params, x)),
        }
    if "forms" in spec:
        linear = isinstance(CELLS[spec["function"]].cell, LinearCell)
        names = PARALLEL if linear else LOOPS
        if spec["forms"] == WITH_KERNELS and not linear:
            names += ("pallas",)
        forced = {how: functools.partial(run, implementation=how) for how in names}
        forms = {"ours": run} | forced
        return {who: Program(_outputs(f), (params, x)) for who, f in forms.items()}
    flax, state = flax_recurrent.unidirectional(params)
    return {
        "ours": Program(_outputs(run), (params, x)),
        "flax": Program(flax, (state, x)),
    }


def _outputs(run: Callable[..., Any]) -> Callable[..., jax.Array]:
    return lambda params, x: run(params, x)[1]


def _params(key: jax.Array, kind: str, in_features: int, spec: dict[str, Any]) -> Any:
    """Draw all weights from the uniform distribution that PyTorch uses by default.

    The `b_hn` of a GRU is zero, since the GRU of Flax has none.
    """
    hidden, dtype = spec["hidden"], jnp.dtype(spec["dtype"])
    init = functools.partial(CELLS[kind].init, in_features=in_features, hidden=hidden)
    shapes = jax.eval_shape(init, key)
    keys = jax.random.split(key, len(shapes))
    bound = hidden**-0.5
    params = type(shapes)(
        *(
            leaf and jax.random.uniform(k, leaf.shape, dtype, -bound, bound)
            for k, leaf in zip(keys, shapes, strict=True)
        )
    )
    if isinstance(params, F.GRUParams):
        return params._replace(b_hn=jnp.zeros(hidden, dtype))
    return params


def _bidirectional_layers(key: jax.Array, spec: dict[str, Any]) -> Any:
    """Return for each layer the parameters of both directions, forward first."""
    layers = []
    in_features = spec["in_features"]
    for pair in jax.random.split(key, (spec["depth"], 2)):
        layers.append(tuple(_params(k, "lstm", in_features, spec) for k in pair))
        in_features = 2 * spec["hidden"]
    return tuple(layers)


def _bidirectional_lstm(layers: Any, x: jax.Array) -> jax.Array:
    for forward, backward in layers:
        _, x = F.bidirectional(F.lstm, forward, backward, x)
    return x
