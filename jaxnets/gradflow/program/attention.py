"""Which softmaxes of a jaxpr are those of an attention."""

from typing import Any

from jax.extend.core import Jaxpr, JaxprEqn, Var

from jaxnets.gradflow.program import equations
from jaxnets.gradflow.program.kinds import activations, function_of


# What may stand between the product of queries with keys and the softmax: scaling,
# masks, and changes of layout.
_NAMES = (
    "add broadcast_in_dim convert_element_type copy div mul neg reshape select_n sub "
    "squeeze tanh transpose"
)
_BETWEEN = frozenset(_NAMES.split())


def attention_weights(jaxpr: Jaxpr) -> set[Var]:
    """Return the results of softmaxes that a product of two arrays of data feeds.

    A product of data has an axis of the batch in both arrays, or neither array is an
    argument of the program, such as a parameter.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> x, w = jnp.ones((2, 3, 4)), jnp.ones((4, 5))
        >>> attention = lambda x, w: jax.nn.softmax(jnp.einsum("bqd,bkd->bqk", x, x))
        >>> router = lambda x, w: jax.nn.softmax(x @ w)
        >>> [
        ...     len(attention_weights(jax.make_jaxpr(f)(x, w).jaxpr))
        ...     for f in (attention, router)
        ... ]
        [1, 0]
    """
    made = {v: eqn for eqn in jaxpr.eqns for v in eqn.outvars}
    return {
        result
        for result, kind in activations(jaxpr).items()
        if kind == "softmax" and _is_fed_by_product(result, made)
    }


def _is_fed_by_product(result: Var, made: dict[Any, JaxprEqn]) -> bool:
    waiting: list[Any] = [result]
    seen: set[Any] = set()
    while waiting:
        variable = waiting.pop()
        eqn = made.get(variable)
        if eqn is None or variable in seen:
            continue
        seen.add(variable)
        if _is_product_of_data(eqn, made):
            return True
        name = eqn.primitive.name
        calls_other = equations.called(eqn) is not None and not _product(eqn)
        if name in _BETWEEN or calls_other or function_of([eqn]) == "softmax":
            waiting += [a for a in eqn.invars if not equations.is_literal(a)]
    return False


def _is_product_of_data(eqn: JaxprEqn, made: dict[Any, JaxprEqn]) -> bool:
    product = _product(eqn)
    if product is None:
        return False
    _, batch = product.params["dimension_numbers"]
    return bool(batch[0]) or all(atom in made for atom in eqn.invars)


def _product(eqn: JaxprEqn) -> JaxprEqn | None:
    """Return the product that an equation is, or that it only calls."""
    if eqn.primitive.name == "dot_general":
        return eqn
    body = equations.called(eqn)
    inner = [] if body is None else body.jaxpr.eqns
    return next((e for e in inner if e.primitive.name == "dot_general"), None)
