"""Training steps that measure the gradient flow, beside the same steps without it."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import optax
from flax import nnx

from jaxnets import gradflow, models, nn, training
from jaxnets.bench.cases import Case, Program
from jaxnets.bench.grid import Row
from jaxnets.data import Labelled


def cases(row: Row) -> Iterator[Case]:
    """Yield the four cases of a row.

    - `norms`: the norm of the cotangent at every tap, in every step;
    - `everything`: all statistics of every tap, of the cotangent and of the forward
      pass, in every step;
    - `scheduled`: all statistics, but only in one of `every` steps. A call is then a
      scan over that many steps;
    - `monitor`: a step as users write it, with a `Monitor` that reports one of `every`
      steps. It is timed with its call from Python, and with the monitor's own thread.
    """
    model, loss, batch = _network(row.spec)
    transform = optax.sgd(0.1, momentum=0.9)
    graphdef, state = training.train_state(model, transform)

    def case(direction: str, wrap: Callable[[Any], Any], **options: Any) -> Case:
        make = lambda **each: wrap(
            training.make_step(graphdef, loss, transform, **each)
        )
        programs = {
            "ours": Program(make(**options), (state, batch)),
            "plain": Program(make(), (state, batch)),
        }
        return Case(row, direction, programs, in_torch=False)

    once = lambda step: step
    yield case("norms", once, watch=_norms)
    yield case("everything", once, watch=_everything)
    steps = row.spec["every"]
    schedule = gradflow.every(steps)
    yield case("scheduled", _repeat(steps), watch=_everything, schedule=schedule)
    monitor = gradflow.Monitor(every=steps)
    own = lambda tool: _step_of_users(graphdef, loss, transform, tool.value_and_grad)
    programs = {
        "ours": Program(monitor.jit(own(monitor), jit=jax.jit), (state, batch), True),
        "plain": Program(jax.jit(own(nnx)), (state, batch), True),
    }
    yield Case(row, "monitor", programs, in_torch=False)


def _network(spec: dict[str, Any]) -> tuple[nnx.Module, training.Loss, Labelled]:
    """Return the network, its loss, and a random batch."""
    x_key, y_key = jax.random.split(jax.random.key(1, impl="rbg"))
    if spec["function"] == "resnet":
        shape = (spec["batch"], *spec["spatial"], spec["channels"])
        labels = jax.random.randint(y_key, shape[:1], 0, spec["classes"])
        sizes = spec["depth"], spec["channels"], spec["classes"]
        network = models.ResNet(*sizes, rngs=nnx.Rngs(0))
        batch = Labelled(jax.random.normal(x_key, shape), labels)
        return network, training.classification, batch
    shape = (spec["batch"], spec["time"], spec["in_features"])
    sizes = spec["in_features"], spec["hidden"], 1
    network = models.ManyToOne(nn.LSTM, *sizes, rngs=nnx.Rngs(0))
    targets = jax.random.normal(y_key, (spec["batch"], 1))
    batch = Labelled(jax.random.normal(x_key, shape), targets)
    return network, training.regression, batch


def _step_of_users(
    graphdef: nnx.GraphDef,
    loss: training.Loss,
    transform: optax.GradientTransformation,
    value_and_grad: Callable[..., Any],
) -> Callable[..., Any]:
    """Return a training step that calls the given `value_and_grad`."""

    def step(state: training.TrainState, batch: Labelled) -> Any:
        model = nnx.merge(graphdef, state.params, state.rest, copy=True)
        (value, _), grads = value_and_grad(loss, has_aux=True)(model, batch)
        updates, opt_state = transform.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        rest = nnx.split(model, nnx.Param, ...)[2]
        return state._replace(params=params, rest=rest, opt_state=opt_state), value

    return step


def _norms(taps: dict[str, gradflow.TapStats], responses: Any) -> dict[str, jax.Array]:
    return {name: stats.norm for name, stats in taps.items()}


def _everything(taps: Any, responses: Any) -> Any:
    return taps, responses


def _repeat(steps: int) -> Callable[[Any], Any]:
    """Return a function that turns a step into a scan of `steps` on the same batch."""

    def wrap(step):
        return lambda state, batch: jax.lax.scan(
            lambda state, _: step(state, batch), state, length=steps
        )

    return wrap
