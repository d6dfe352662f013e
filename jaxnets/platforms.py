"""Programs that depend on the platform that they are compiled for.

The platform is not known while JAX traces: a program may be exported for another one,
compiled ahead for a chip that is not here, or run on a CPU beside a GPU. So a function
with several implementations traces one for each platform, and JAX keeps the one for the
platform that it lowers the program for. In a program for several platforms it keeps
several, and lowers each of them for all of these platforms. `run_only_on` is for a
kernel, which only one platform can lower.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
from jax.extend.core import (
    ClosedJaxpr,  # pyright: ignore[reportPrivateImportUsage]
    Primitive,
    jaxpr_as_fun,
)
from jax.interpreters import ad, batching, mlir

from jaxnets.tap import with_same_taps


# The platforms for which implementations are chosen. What is chosen for "rocm" runs on
# all others too.
PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


def default_platform() -> str:
    """Return the platform of JAX's default device.

    It is one of `PLATFORMS`, or JAX's name of another platform.

    Example:
        >>> default_platform()
        'cpu'
    """
    given = jax.config.jax_default_device  # pyright: ignore[reportAttributeAccessIssue]
    device = jax.devices(given)[0] if isinstance(given, str) else given
    name = jax.default_backend() if device is None else device.platform
    if name != "gpu":
        return name
    version = (device or jax.devices()[0]).client.platform_version.lower()
    return "rocm" if "rocm" in version else "cuda"


def run_by_platform(
    variants: Mapping[str, Any], run: Callable[[Any], Any], reasons: Mapping[str, str]
) -> Any:
    """Return `run(variant)` for the platform that the program is lowered for.

    Args:
        variants: For each platform a variant, which is hashable. Platforms with the
            same variant share one trace.
        run: Returns a pytree of arrays, with the same shapes for every variant. It may
            close over arrays.
        reasons: For each platform that has no variant, the text of the error that is
            raised when the program is lowered for it.

    Raises:
        ValueError: With the reason, on a platform without a variant. Under `jax.jit` it
            is raised when the program is lowered, before anything is computed.

    Example:
        >>> import jax.numpy as jnp
        >>> x = jnp.ones(3)
        >>> names = {"cpu": "sum", "cuda": "mean", "rocm": "mean", "tpu": "mean"}
        >>> run_by_platform(names, lambda name: getattr(jnp, name)(x), {})
        Array(3., dtype=float32)
    """
    distinct = list(dict.fromkeys(variants.values()))
    runs = with_same_taps([lambda v=variant: run(v) for variant in distinct])
    branches: dict[Any, Callable[[], Any]] = dict(zip(distinct, runs, strict=True))
    if len(distinct) == 1 and not reasons:
        return runs[0]()
    by_platform = {name: branches[variant] for name, variant in variants.items()}
    by_platform |= {
        name: lambda reason=reason: _refused(runs[0], reason)
        for name, reason in reasons.items()
    }
    others = by_platform.pop("rocm", runs[0])
    return jax.lax.platform_dependent(**by_platform, default=others)


def _refused(run: Callable[[], Any], reason: str) -> Any:
    """Stand for the result of `run`, and raise `reason` when that is lowered."""
    closed, arrays = jax.closure_convert(run)
    jaxpr, shapes = jax.make_jaxpr(closed, return_shape=True)(*arrays)
    results = _refusal.bind(*arrays, types=tuple(jaxpr.out_avals), reason=reason)
    return jax.tree.unflatten(jax.tree.structure(shapes), results)


def _jvp(primals, tangents, **params: Any):
    # The tangents come from the primitive too: a program of gradients alone is refused.
    tangents = list(map(ad.instantiate_zeros, tangents))
    return _refusal.bind(*primals, **params), _refusal.bind(*tangents, **params)


def _transpose(cotangents, *arguments, types: Any, reason: str) -> list[Any]:
    del types
    cotangents = list(map(ad.instantiate_zeros, cotangents))
    inputs = tuple(a.aval for a in arguments if ad.is_undefined_primal(a))
    results = iter(_refusal.bind(*cotangents, types=inputs, reason=reason))
    return [next(results) if ad.is_undefined_primal(a) else None for a in arguments]


def _raise(*_: Any, reason: str, **__: Any) -> NoReturn:
    raise ValueError(reason)


def _batch(arguments, axes, **params: Any):
    del axes
    results = _refusal.bind(*arguments, **params)
    return results, [None] * len(results)


_refusal = Primitive("refusal")
_refusal.multiple_results = True
_refusal.def_impl(_raise)
_refusal.def_abstract_eval(lambda *_, types, reason: list(types))
ad.primitive_jvps[_refusal] = _jvp
ad.primitive_transposes[_refusal] = _transpose
batching.primitive_batchers[_refusal] = _batch
mlir.register_lowering(_refusal, _raise)


def run_only_on(platform: str, function: Callable[..., Any], *arrays: Any) -> Any:
    """Return `function(*arrays)`, for a function that only one platform can lower.

    It runs in a branch of `run_by_platform` for that platform. In a program for several
    platforms, zeros stand for it in what JAX lowers for the others and never runs. It
    can be mapped, but not differentiated: derivatives come from a `jax.custom_vjp`
    around it.

    Args:
        platform: One of `PLATFORMS`.
        function: Takes and returns pytrees of arrays. It closes over none that is
            traced.
        *arrays: Its arguments.

    Raises:
        ValueError: When a program that is not for `platform` is lowered.

    Example:
        >>> import jax.numpy as jnp
        >>> run_only_on("cpu", jnp.sin, jnp.zeros(2))
        Array([0., 0.], dtype=float32)
    """
    jaxpr, shapes = jax.make_jaxpr(function, return_shape=True)(*arrays)
    leaves = jax.tree.leaves(arrays)
    results = _only_on.bind(*leaves, jaxpr=jaxpr, platform=platform)
    return jax.tree.unflatten(jax.tree.structure(shapes), results)


def _map_only_on(arrays, axes, *, jaxpr: ClosedJaxpr, platform: str):
    run = jax.vmap(jaxpr_as_fun(jaxpr), tuple(axes))
    results = run_only_on(platform, run, *arrays)
    return results, [0] * len(results)


def _lower_only_on(here: str | None, context: Any, *arrays: Any, **params: Any) -> Any:
    jaxpr, platform = params["jaxpr"], params["platform"]
    if here == platform:
        return mlir.lower_fun(jaxpr_as_fun(jaxpr))(context, *arrays)
    if platform not in context.module_context.platforms:
        raise ValueError(f"This program can be lowered for {platform!r} only.")
    zeros = lambda *_: [jnp.zeros(a.shape, a.dtype) for a in jaxpr.out_avals]
    return mlir.lower_fun(zeros)(context, *arrays)


_only_on = Primitive("only_on")
_only_on.multiple_results = True
_only_on.def_impl(lambda *arrays, jaxpr, platform: jaxpr_as_fun(jaxpr)(*arrays))
_only_on.def_abstract_eval(lambda *_, jaxpr, platform: jaxpr.out_avals)
batching.primitive_batchers[_only_on] = _map_only_on
mlir.register_lowering(_only_on, functools.partial(_lower_only_on, None))
for _name in PLATFORMS:
    _rule = functools.partial(_lower_only_on, _name)
    mlir.register_lowering(_only_on, _rule, platform=_name)
