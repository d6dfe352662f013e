"""`Monitor`: gradient flow and alarms in anyone's own training loop."""

import functools
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxnets.arguments import (
    as_count,
    as_switch,
    check_callable,
    described,
    int_or_none,
)
from jaxnets.gradflow.diagnosis.verdict import Verdict
from jaxnets.gradflow.measurement import Flow
from jaxnets.gradflow.modules import measure_module
from jaxnets.gradflow.monitoring.alarms import Alarms
from jaxnets.gradflow.monitoring.numbers import (
    Numbers,
    as_records,
    numbers_of,
    send,
)
from jaxnets.gradflow.monitoring.sinks import MonitorReport, as_sink
from jaxnets.gradflow.schedules import Schedule
from jaxnets.gradflow.schedules import every as every_steps
from jaxnets.runs.records import Record


# Evaluating a step once more to measure it costs about as much as measuring so many
# steps, of which each becomes about a twentieth slower.
RARE = 20


class Monitor:
    """Measures the gradient flow of a training that somebody else wrote.

    `monitor.value_and_grad` takes the place of `nnx.value_and_grad` in the training
    step. The value, the gradient and the changes of the model are the same.

    In the steps that `every` selects it reports the loss, the norm of the gradient at
    the output of every module, and the norms of every parameter and of its gradient. A
    loss or gradient that is not finite is reported in any step, with the layer where it
    starts. Each report goes to `to`, and each alarm is also a `RuntimeWarning`:

    - `non-finite`: the loss, a layer, a gradient or a weight is not finite;
    - `exploding`: the gradient's norm is ten times its median over the last 64 measured
      steps;
    - `dead`: the gradient at the output of a module is exactly zero in two measured
      steps one after another.

    The step may be jitted by `jax.jit` or `nnx.jit`, be the body of `jax.lax.scan`, and
    donate its arguments. The number of the step is in a `jax.Ref`, a cell of memory on
    the device that compiled functions can read and write, so the loop does not pass it
    on; with several devices pass `step`. The numbers leave the program as one small
    array by `jax.debug.callback`, only in the steps that are reported. With `every` up
    to 20 all steps are measured; otherwise the steps that are reported evaluate loss
    and gradient once more, and the others are evaluated as without the monitor.

    JAX starts a program with a callback in Python, not in C++, which takes longer the
    more arrays go in and come out. It shows where a step takes a few milliseconds.

    Args:
        every: The steps to report: every k-th, or a schedule such as `log_spaced(3)`.
        to: Where the reports go, one or several of: a path that ends in `.csv`, for
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
        >>> @nnx.jit
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
        self._always = count is not None and count <= RARE
        if not isinstance(name, str):
            raise TypeError(f"`name` is {name!r}; wanted a string, such as 'mine'.")
        self._only, self._name = only, name
        self._seed = as_count(seed, "seed", minimum=0)
        start = as_count(start, "start", minimum=0, meaning="the first step")
        targets = list(to) if isinstance(to, list | tuple) else [to]
        self._sinks = [
            as_sink(target, f"to[{index}]", append=start > 0)
            for index, target in enumerate(targets)
        ]
        # The number of the next step, and 1 if a step was not finite.
        self._state = jax.new_ref(jnp.array([start, 0], jnp.int32))
        self._alarm = Alarms(name)
        self._records: list[Record] = []
        self._alarms: list[Verdict] = []

    @property
    def records(self) -> list[Record]:
        """The records of all reports so far, for `verdicts` and `write_records`."""
        self.wait()
        return self._records

    @property
    def alarms(self) -> list[Verdict]:
        """All alarms so far."""
        self.wait()
        return self._alarms

    def wait(self) -> None:
        """Wait until the reports of all steps that were started have arrived."""
        jax.effects_barrier()

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
                calls. Pass it if the program runs on several devices: the monitor's
                own count is on one device.

        Returns:
            `differentiated(model, *args, **kwargs) -> (value, grads)`, where `value`
            is `(scalar, aux)` with `has_aux=True`. `grads` is the `nnx.State` of the
            gradient. Keyword arguments go to `loss`.

        Raises:
            TypeError: If `loss` is not a function, or `has_aux` not a boolean.
        """
        check_callable("loss", loss, "a function `loss(model, *args)`")
        has_aux = as_switch(has_aux, "has_aux")
        evaluate = self._measured if self._always else self._twice

        @functools.wraps(loss)
        def differentiated(model: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
            from flax import nnx

            if not isinstance(model, nnx.Module):
                raise TypeError(
                    f"`model` is {described(model)}; wanted an nnx.Module, the first "
                    "argument of the loss."
                )
            options = {"has_aux": has_aux, "wrt": nnx.Param if wrt is None else wrt}
            # As in Flax, keyword arguments are not differentiated.
            given = functools.partial(loss, **kwargs) if kwargs else loss
            return evaluate(given, options, step, model, args)

        return differentiated

    def _measured(
        self, loss: Any, options: dict[str, Any], step: Any, model: Any, args: tuple
    ) -> tuple[Any, Any]:
        """Measure in every step, and report in some."""
        flow, numbers = self._flow(loss, options, model, args)
        self._report(step, flow.value, flow.grads, lambda: numbers)
        value = (flow.value, flow.aux) if options["has_aux"] else flow.value
        return value, flow.grads

    def _twice(
        self, loss: Any, options: dict[str, Any], step: Any, model: Any, args: tuple
    ) -> tuple[Any, Any]:
        """Evaluate as without a monitor, and once more, measured, in some steps."""
        from flax import nnx

        graphdef, before = nnx.split((model, args))
        # A copy, because the first evaluation changes variables such as random keys.
        before = jax.tree.map(lambda leaf: leaf, before)
        has_aux, argnums = options["has_aux"], nnx.DiffState(0, options["wrt"])
        differentiate = nnx.value_and_grad(loss, argnums=argnums, has_aux=has_aux)
        value, grads = differentiate(model, *args)

        def numbers() -> Numbers:
            model, args = nnx.merge(graphdef, before, copy=True)
            return self._flow(loss, options, model, args)[1]

        self._report(step, value[0] if has_aux else value, grads, numbers)
        return value, grads

    def _flow(
        self, loss: Any, options: dict[str, Any], model: Any, args: tuple
    ) -> tuple[Flow, Numbers]:
        from flax import nnx

        params = nnx.state(model, options["wrt"])
        flow = measure_module(loss, model, *args, only=self._only, **options)
        return flow, numbers_of(flow, params, args)

    def _report(
        self, step: Any, value: Any, grads: Any, numbers: Callable[[], Numbers]
    ) -> None:
        """Count the step, and report its numbers if it is due or not finite."""
        finite = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves((value, grads))]
        broken = ~jnp.stack(finite).all()
        due = broken
        if step is None:
            step, reported = self._state[...]
            due = broken & (reported == 0)
            after = step + 1, jnp.where(broken, 1, reported)
            self._state[...] = jnp.stack(after).astype(jnp.int32)
        due = self._schedule(step) | due
        jax.lax.cond(due, lambda: send(numbers(), self._receive, step), lambda: None)

    def _receive(self, numbers: Numbers, step: int) -> None:
        records = as_records(numbers, self._name, self._seed, step)
        report = MonitorReport(step, records, self._alarm.of(numbers, step))
        self._records += report.records
        self._alarms += report.alarms
        for sink in self._sinks:
            sink(report)
        for alarm in report.alarms:
            warnings.warn(
                f"{alarm.where}: {alarm.sentence}", RuntimeWarning, stacklevel=2
            )
