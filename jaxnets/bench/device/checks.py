"""Checks: values and gradients on the device beside those of the CPU in float64."""

import functools
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets import functional as F
from jaxnets.bench.device.recurrences import FUNCTIONS, IMPLEMENTATIONS
from jaxnets.bench.device.session import Session
from jaxnets.functional.recurrence.cells import CELLS


# The largest error that passes, relative to the largest element of the same array.
# Matrix products have the precision "highest", so that float32 is not rounded to TF32.
TOLERANCES = {"float32": 1e-4, "bfloat16": 5e-2}
# (batch, time, in_features, hidden): the first for every implementation. The others are
# for kernels: odd sizes, and several blocks of sequences.
SIZES = ((37, 40, 48, 128), (5, 23, 7, 20), (130, 17, 32, 64))


class CheckJob:
    """The job that compares a function on the device with the same on the CPU.

    Args:
        name: Name of the check.
        function: Maps the arguments to a pytree of arrays.
        reference: The function to compare with, which may be the same.
        arguments: Arrays of float64, and others.
        argnums: The numbers of the arguments that are differentiated.
        dtype: The dtype of the floats on the device.
    """

    group = "checks"
    programs = 2

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        reference: Callable[..., Any],
        arguments: tuple[Any, ...],
        *,
        argnums: tuple[int, ...] = (0,),
        dtype: str = "float32",
    ):
        self.key = f"checks: {name}"
        self._functions = {
            "device": _with_gradients(function, argnums),
            "reference": _with_gradients(reference, argnums),
        }
        # Both get the same numbers, those that the dtype of the device has.
        self._arguments = jax.tree.map(
            lambda a: a.astype(jnp.dtype(dtype)) if a.dtype == np.float64 else a,
            arguments,
        )
        self._tolerance = TOLERANCES[dtype]
        self._futures: list[Future[Any]] = []

    def prepare(self, session: Session) -> None:
        """Begin to compile for the device, and to compute on the CPU."""
        self._futures = [
            session.submit(self.key, "device", self._compiled),
            session.submit(self.key, "reference", self._expected),
        ]

    def run(self, session: Session) -> dict[str, Any]:
        """Compute on the device, and compare."""
        compiled, expected = map(session.result, self._futures)
        session.begin(self.key, "device")
        try:
            found = jax.tree.map(np.asarray, compiled(*self._arguments))
        except Exception as error:
            session.check_device(self.key, "device", error)
            raise
        errors = jax.tree.map(_error, found, expected)
        error = max(jax.tree.leaves(errors))
        return {
            "error": error if np.isfinite(error) else None,
            "tolerance": self._tolerance,
            "passed": error <= self._tolerance,
        }

    def _compiled(self) -> Callable[..., Any]:
        with jax.default_matmul_precision("highest"):
            function = jax.jit(self._functions["device"])
            return function.lower(*self._arguments).compile()

    def _expected(self) -> Any:
        with jax.enable_x64(True), jax.default_device(jax.devices("cpu")[0]):
            wide = jax.tree.map(
                lambda a: a if a.dtype.kind in "iub" else a.astype(np.float64),
                self._arguments,
            )
            found = jax.jit(self._functions["reference"])(*wide)
            return jax.tree.map(np.asarray, found)


def check_jobs() -> Iterator[CheckJob]:
    """Yield all checks, the most important first."""
    yield from _operations()
    names = ("scan", "split", "pallas", "cudnn", "in_place")
    assert set(names) == set(IMPLEMENTATIONS)
    for implementation in names:
        for function in FUNCTIONS:
            if implementation == "cudnn" and function != "lstm":
                continue
            yield _recurrence(function, implementation, SIZES[0], "float32")
    for dtype in ("float32", "bfloat16"):
        for size in SIZES:
            for function in FUNCTIONS:
                if (size, dtype) != (SIZES[0], "float32"):
                    backwards = size == SIZES[2]
                    yield _recurrence(function, "pallas", size, dtype, backwards)


def _operations() -> Iterator[CheckJob]:
    """Yield the checks of convolutions and pools."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(5, 17, 19, 12))
    dense, single = rng.normal(size=(3, 3, 12, 20)), rng.normal(size=(3, 3, 12, 2))
    small = rng.normal(size=(3, 3, 4, 24))
    cases: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
        "conv": (F.conv, (x, dense)),
        "conv strides": (functools.partial(F.conv, strides=2), (x, dense)),
        "conv dilation": (functools.partial(F.conv, kernel_dilation=2), (x, dense)),
        "conv groups": (functools.partial(F.conv, feature_group_count=3), (x, small)),
        "depthwise_conv": (F.depthwise_conv, (x, single)),
        "conv_transpose": (functools.partial(F.conv_transpose, strides=2), (x, dense)),
    }
    for window, strides in ((2, 2), (3, 2), (3, 1)):
        for name in ("max_pool", "avg_pool"):
            pool = functools.partial(
                getattr(F, name), window_shape=window, strides=strides
            )
            cases[f"{name} k{window} s{strides}"] = (pool, (x,))
    for name, (function, arguments) in cases.items():
        argnums = tuple(range(len(arguments)))
        yield CheckJob(name, function, function, arguments, argnums=argnums)


def _recurrence(
    kind: str,
    implementation: str,
    size: tuple[int, ...],
    dtype: str,
    backwards: bool = False,
) -> CheckJob:
    """Return the check of a recurrence, with lengths and an initial state.

    Args:
        kind: The cell.
        implementation: The implementation to check; the reference is "scan".
        size: One of `SIZES`.
        dtype: The dtype on the device.
        backwards: Whether the last step is computed first, and the state is reset.
    """
    batch, steps, features, hidden = size
    name = f"{kind} {implementation} {batch}x{steps}x{features}-{hidden}"
    rng = np.random.default_rng(zlib.crc32(kind.encode()))
    run, init = CELLS[kind].run, CELLS[kind].init
    shapes = jax.eval_shape(
        lambda key: init(key, in_features=features, hidden=hidden), jax.random.key(0)
    )
    bound = hidden**-0.5
    params = jax.tree.map(lambda p: rng.uniform(-bound, bound, p.shape), shapes)
    if isinstance(params, F.GRUParams):
        params = params._replace(b_hn=rng.uniform(-bound, bound, hidden))
    x = rng.normal(size=(batch, steps, features))
    h = rng.normal(size=(batch, hidden))
    state = F.LSTMState(h, rng.normal(size=h.shape)) if kind == "lstm" else h
    # Some sequences are padded, and one has no step at all.
    lengths = rng.integers(0, steps + 1, batch).astype(np.int32)
    lengths[0], lengths[-1] = 0, steps
    resets = rng.random((batch, steps)) < 0.1
    options = {"resets": resets, "reverse": True} if backwards else {}
    words = [name, "reverse resets" * backwards, dtype.replace("float32", "")]

    def by(name: str) -> Callable[..., Any]:
        return lambda params, x, state, lengths: run(
            params, x, state, lengths=lengths, implementation=name, **options
        )

    return CheckJob(
        " ".join(filter(None, words)),
        by(implementation),
        by("scan"),
        (params, x, state, lengths),
        argnums=(0, 1, 2),
        dtype=dtype,
    )


def _with_gradients(function: Callable[..., Any], argnums: tuple[int, ...]):
    """Return a function that computes the value and the gradients of a loss of it."""

    def weighted_sum(leaf: jax.Array) -> jax.Array:
        # Every element has a weight of its own, in float32 on the device.
        weights = np.cos(np.arange(leaf.size, dtype=np.float32)).reshape(leaf.shape)
        wide = leaf.astype(jnp.promote_types(leaf.dtype, jnp.float32))
        return jnp.sum(wide * weights)

    def loss(*arguments):
        value = function(*arguments)
        return sum(map(weighted_sum, jax.tree.leaves(value))), value

    def both(*arguments):
        gradients, value = jax.grad(loss, argnums, has_aux=True)(*arguments)
        return value, gradients

    return both


def _error(found: np.ndarray, expected: np.ndarray) -> float:
    """Return the largest error relative to the largest element; infinity if NaN."""
    found = found.astype(np.float64)
    scale = max(float(np.abs(expected).max(initial=0.0)), 1e-30)
    error = float(np.abs(found - expected).max(initial=0.0)) / scale
    return error if np.isfinite(error) else float("inf")
