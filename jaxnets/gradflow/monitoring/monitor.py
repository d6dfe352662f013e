"""`Monitor`: gradient flow and alarms in anyone's own training loop."""

import collections
import concurrent.futures
import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.core import Tracer
from jax.extend.core import get_opaque_trace_state

from jaxnets.arguments import (
    as_count,
    as_switch,
    check_callable,
    described,
    int_or_none,
)
from jaxnets.gradflow.diagnosis.verdict import Verdict
from jaxnets.gradflow.monitoring.evaluation import evaluate_measured, evaluate_twice
from jaxnets.gradflow.monitoring.numbers import Packed, first_nonfinite, unpack
from jaxnets.gradflow.monitoring.reports import Reports
from jaxnets.gradflow.monitoring.sinks import as_sink
from jaxnets.gradflow.schedules import Schedule
from jaxnets.gradflow.schedules import every as every_steps
from jaxnets.runs.records import Record


# Evaluating a step once more to measure it costs about as much as measuring so many
# steps, of which each becomes about a twentieth slower.
RARE = 20
# So many steps may be ahead of their reports.
MOST_WAITING = 128
# The argument by which the number of a step gets into a compiled step.
COUNT = "number_of_step_of_monitor"


class Trace(NamedTuple):
    """A step that `monitor.jit` traces.

    Attributes:
        state: What JAX is tracing.
        count: The number of the first call of `value_and_grad`; None if it is unknown.
        found: The numbers of the calls so far.
    """

    state: Any
    count: Any
    found: list[Packed]


class Monitor:
    """Measure the gradient flow in a training loop that you have already.

    Replace `nnx.jit` around the training step by `monitor.jit`, and
    `nnx.value_and_grad` in the step by `monitor.value_and_grad`. The step computes the
    same as before.

    In the steps that `every` selects it reports the loss, the norm of the gradient at
    the output of every module, and the norms of every parameter and of its gradient. A
    loss or gradient that is not finite is reported in any step, with the layer where it
    starts. Each report goes to `to`, and each alarm is also a `RuntimeWarning`:

    - `non-finite`: the loss, a layer, a gradient or a weight is not finite;
    - `exploding`: the gradient's norm is ten times its median over the last 64 measured
      steps;
    - `dead`: the gradient at the output of a module is exactly zero in two measured
      steps one after another.

    The compiled step returns the numbers as one more result, a small array. A thread of
    the monitor waits for it and reports, so that neither the step nor the loop waits.
    If a function in `to` is so slow that the reports of 128 steps are outstanding, the
    loop waits for it: no report is dropped.

    With `every` up to 20 all steps are measured. Otherwise the steps that are reported
    evaluate loss and gradient once more, and the others run as without the monitor.

    `monitor.value_and_grad` also works without `monitor.jit`: outside of any jit, in a
    step that another jit compiles, and in the body of `jax.lax.scan`. It then measures
    in all steps unless it gets `step`, and the numbers leave the compiled program by
    `jax.debug.callback`. JAX starts such a program in Python, not in C++, which takes
    longer the more arrays go in and come out.

    Args:
        every: The steps to report: every k-th, or a schedule such as `log_spaced(3)`.
        to: Where the reports go. One or several of: a path that ends in `.csv`, for
            records; any other path, for a folder of TensorBoard's files, which needs
            `tensorboardX`; an object with `add_scalar(tag, value, step)`, such as a
            `SummaryWriter`; a function of a `MonitorReport`, such as `print`.
        only: The modules to measure, as for `measure_module`; None measures all.
        name: Name of the network in records and alarms.
        seed: Seed of the network in the records.
        start: Number of the first step. If it is above 0, records are added to those
            that the file has.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If `every` is below 1, or `seed` or `start` is negative.
        ImportError: If TensorBoard's files are wanted and no package can write them.

    Example:
        >>> import jax.numpy as jnp
        >>> import optax
        >>> from flax import nnx
        >>> from jaxnets.gradflow import Monitor
        >>> model = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
        >>> optimizer = nnx.Optimizer(model, optax.sgd(0.1), wrt=nnx.Param)
        >>> loss = lambda model, x: jnp.mean((model(x) - 1.0) ** 2)
        >>> monitor = Monitor(every=2)
        >>> @monitor.jit
        ... def train_step(model, optimizer, x):
        ...     value, grads = monitor.value_and_grad(loss)(model, x)
        ...     optimizer.update(model, grads)
        ...     return value
        >>> for _ in range(5):
        ...     value = train_step(model, optimizer, jnp.ones((4, 2)))
        >>> [record.step for record in monitor.records if record.metric == "loss"]
        [0, 2, 4]

    Source: Schneider et al. 2021, "Cockpit: A Practical Debugging Tool for the Training
    of Deep Neural Networks", for instruments that run along on a schedule.
    """

    def __init__(
        self,
        *,
        every: int | Schedule = 1,
        to: Any = (),
        only: str | Sequence[str] | None = None,
        name: str = "model",
        seed: int = 0,
        start: int = 0,
    ):
        count = int_or_none(every)
        if count is None and not callable(every):
            raise TypeError(
                f"`every` is {described(every)}; wanted a number of steps, such as 64, "
                "or a schedule, such as `jaxnets.gradflow.log_spaced(3)`."
            )
        self._schedule = (
            every if callable(every) else every_steps(as_count(every, "every"))
        )
        if not isinstance(name, str):
            raise TypeError(f"`name` is {name!r}; wanted a string, such as 'mine'.")
        seed = as_count(seed, "seed", minimum=0)
        self._only = only
        self._always = count is not None and count <= RARE
        self._next = as_count(start, "start", minimum=0, meaning="the first step")
        targets = list(to) if isinstance(to, list | tuple) else [to]
        sinks = [
            as_sink(target, f"to[{index}]", append=self._next > 0)
            for index, target in enumerate(targets)
        ]
        self._reports = Reports(name, seed, sinks)
        self._broken = False
        # The calls of compiled steps, which the host starts before they are done.
        self._count = self._next
        # While `monitor.jit` traces a step: the trace, and the numbers measured in it.
        self._traced: Trace | None = None
        # One thread, so that the reports keep the order of the steps.
        self._thread = concurrent.futures.ThreadPoolExecutor(max_workers=1)
        self._waiting = collections.deque[concurrent.futures.Future[None]]()

    @property
    def records(self) -> list[Record]:
        """The records of all reports so far, for `verdicts` and `write_records`."""
        self.wait()
        return self._reports.records

    @property
    def alarms(self) -> list[Verdict]:
        """All alarms so far."""
        self.wait()
        return self._reports.alarms

    def wait(self) -> None:
        """Wait until the reports of all steps that were started have arrived."""
        jax.effects_barrier()
        while self._waiting:
            self._waiting.popleft().result()

    def _raise(self) -> None:
        """Raise the error of a report that has failed, as in a function in `to`.

        While too many steps wait for their reports, the caller waits too.
        """
        while self._waiting and (
            self._waiting[0].done() or len(self._waiting) >= MOST_WAITING
        ):
            self._waiting.popleft().result()

    def jit(
        self,
        step: Callable[..., Any],
        *,
        jit: Callable[..., Any] | None = None,
        **options: Any,
    ) -> Callable[..., Any]:
        """Compile a training step that calls `monitor.value_and_grad`.

        Args:
            step: The training step, a function of any arguments.
            jit: What compiles it, such as `jax.jit`; None is `nnx.jit`.
            **options: Options of `jit`, such as `donate_argnums`. With `in_shardings`
                all steps are measured, because JAX then takes no further argument.

        Returns:
            The function that takes the place of `jit(step, **options)`. Its `lower` is
            that of the compiled step, for the program's text and costs. That program
            returns the numbers beside the result, and reports nothing by itself.

        Raises:
            TypeError: If `step` or `jit` is not a function.
        """
        check_callable("step", step, "a training step, such as `step(model, batch)`")
        if jit is None:
            from flax import nnx

            jit = nnx.jit
        check_callable("jit", jit, "a compiler, such as `jax.jit`")

        @functools.wraps(step)
        def measured(*args: Any, **kwargs: Any) -> tuple[Any, list[Packed]]:
            outer, found = self._traced, []
            self._traced = Trace(_trace(), kwargs.pop(COUNT, None), found)
            try:
                return step(*args, **kwargs), found
            finally:
                self._traced = outer

        compiled = jit(measured, **options)
        counts = not self._always and "in_shardings" not in options

        def counted(options: dict[str, Any]) -> dict[str, Any]:
            return options | {COUNT: np.int32(self._count)} if counts else options

        @functools.wraps(step)
        def monitored(*args: Any, **kwargs: Any) -> Any:
            # Not after the step, whose result would be lost.
            self._raise()
            result, found = compiled(*args, **counted(kwargs))
            self._count += len(found)
            for packed in found:
                self._deliver(packed)
            return result

        if hasattr(compiled, "lower"):
            lower = lambda *args, **kwargs: compiled.lower(*args, **counted(kwargs))
            setattr(monitored, "lower", lower)  # noqa: B010
        return monitored

    def value_and_grad(
        self,
        loss: Callable[..., Any],
        *,
        has_aux: bool = False,
        wrt: Any = None,
        step: jax.Array | int | None = None,
    ) -> Callable[..., tuple[Any, Any]]:
        """Return the function that takes the place of `nnx.value_and_grad(loss)`.

        Args:
            loss: `loss(model, *args)` that returns a scalar, or `(scalar, aux)` with
                `has_aux=True`.
            has_aux: Whether `loss` returns `(scalar, aux)`.
            wrt: Which variables of the model to differentiate with respect to, as a
                filter of Flax, such as `nnx.LoRAParam`; None is every `nnx.Param`.
            step: Number of this step, such as `optimizer.step[...]`; None counts the
                calls.

        Returns:
            `differentiated(model, *args, **kwargs) -> (value, grads)`, where `value`
            is `(scalar, aux)` with `has_aux=True`. `grads` is the `nnx.State` of the
            gradient. Keyword arguments go to `loss`.

        Raises:
            TypeError: If `loss` is not a function, or `has_aux` not a boolean.
        """
        check_callable("loss", loss, "a function `loss(model, *args)`")
        has_aux = as_switch(has_aux, "has_aux")

        @functools.wraps(loss)
        def differentiated(model: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
            from flax import nnx

            if not isinstance(model, nnx.Module):
                raise TypeError(
                    f"`model` is {described(model)}; wanted an nnx.Module, the first "
                    "argument of the loss."
                )
            options = {"has_aux": has_aux, "wrt": nnx.Param if wrt is None else wrt}
            self._raise()
            # As in Flax, keyword arguments are not differentiated.
            given = functools.partial(loss, **kwargs) if kwargs else loss
            number = self._number() if step is None else step
            evaluate = evaluate_measured
            if not (self._always or number is None):
                evaluate = functools.partial(evaluate_twice, self._schedule, number)
            found, packed = evaluate(given, model, args, self._only, **options)
            self._deliver(dataclasses.replace(packed, step=number))
            return found

        return differentiated

    def _number(self) -> Any:
        """Return the number of the present call in a step of `monitor.jit`, or None."""
        traced = self._traced
        if traced is None or traced.count is None or traced.state != _trace():
            return None
        return traced.count + len(traced.found)

    def _deliver(self, packed: Packed) -> None:
        """Hand numbers to the thread, as soon as they are outside of any program."""
        if self._traced is not None and self._traced.state == _trace():
            self._traced.found.append(packed)
        elif isinstance(packed.array, Tracer):

            def arrived(packed: Packed) -> None:
                # A copy, because the program uses the memory of its arguments again.
                self._submit(jax.tree.map(np.array, packed))
                self._raise()

            jax.debug.callback(arrived, packed)
        else:
            self._submit(packed)

    def _submit(self, packed: Packed) -> None:
        self._waiting.append(self._thread.submit(self._receive, packed))

    def _receive(self, packed: Packed) -> None:
        """Count a step, and report it if it is due or the first that is not finite."""
        step = self._next if packed.step is None else int(packed.step)
        self._next = step + 1
        if packed.measured is not None and not packed.measured:
            return
        numbers = unpack(packed)
        due = bool(self._schedule(step))
        if not (self._broken or np.isfinite(packed.array).all()):
            self._broken = first_nonfinite(numbers) is not None
            due = due or self._broken
        if not due:
            return
        self._reports.add(numbers, step)


def _trace() -> Any:
    return get_opaque_trace_state(convention="jaxnets")
