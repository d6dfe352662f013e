"""Stacks of equal blocks: what the loop costs, and what each `checkpoint` saves."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from flax.nnx import initializers

from jaxnets import nn
from jaxnets.bench.cases import Case, Program, with_gradients
from jaxnets.bench.grid import Row


def cases(row: Row) -> Iterator[Case]:
    """Yield the single case of a row, the value and all gradients of a stack."""
    spec = row.spec
    key = jax.random.key(1, impl="rbg")
    shape = (spec["batch"], *spec["spatial"], spec["channels"])
    x = jax.random.normal(key, shape, jnp.dtype(spec["dtype"]))
    apply, params = _stack(spec, None)
    if "checkpoint" in spec:
        checkpointed, _ = _stack(spec, _checkpoint(spec["checkpoint"]))
        programs = {"ours": checkpointed, "stored": apply}
    else:
        programs = {"ours": apply}
    found = {who: Program(function, (x, params)) for who, function in programs.items()}
    if spec.get("outside"):
        count = spec["layers"]
        each = [jax.tree.map(lambda a, n=n: a[n], params) for n in range(count)]
        found["outside"] = Program(_unrolled(spec), (x, each))
    yield Case(row, "gradients", with_gradients(found), in_torch=False)


def _checkpoint(text: str) -> Any:
    """Read the column: "sqrt", "inverse", or "binomial" with a number of states."""
    kind, _, number = text.partition(" ")
    return (kind, int(number)) if number else kind


def _make_block(spec: dict[str, Any], rngs: nnx.Rngs) -> nnx.Module:
    """Make a block with pre-activation whose branch has a variance of 2 / layers."""
    init = initializers.variance_scaling(2.0 / spec["layers"], "fan_in", "normal")
    options = {"order": "pre", "norm": None, "kernel_init": init, "rngs": rngs}
    if spec["function"] == "reversible":
        return nn.ReversibleBlock(spec["channels"], **options)
    return nn.Block(spec["channels"], spec["channels"], **options)


def _stack(spec: dict[str, Any], checkpoint: Any) -> tuple[Any, Any]:
    """Return a stack as a function of `x` and its parameters, and these."""
    make = lambda rngs: _make_block(spec, rngs)
    stack = nn.Stack(make, spec["layers"], checkpoint=checkpoint, rngs=nnx.Rngs(0))
    definition, params = nnx.split(stack)
    state = lambda params: nnx.State({"blocks": params})
    return lambda x, params: nnx.merge(definition, state(params))(x), params["blocks"]


def _unrolled(spec: dict[str, Any]) -> Any:
    """Return the blocks in sequence as a function of `x` and their parameters."""
    definition, _ = nnx.split(_make_block(spec, nnx.Rngs(0)))

    def apply(x, each):
        for params in each:
            x = nnx.merge(definition, params)(x)
        return x

    return apply
