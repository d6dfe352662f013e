"""Training steps that measure gradient flow, beside the same steps that do not."""

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
    """Yield the row's three cases: `norms`, `everything`, `scheduled`.

    The norm at every tap in every step; all statistics of every tap both ways in every
    step; the same in one of `every` steps, timed over that many.
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


def _network(spec: dict[str, Any]) -> tuple[nnx.Module, training.Loss, Labelled]:
    """Return the network, its loss, and a batch of random numbers."""
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


def _norms(taps: dict[str, gradflow.TapStats], responses: Any) -> dict[str, jax.Array]:
    return {name: stats.norm for name, stats in taps.items()}


def _everything(taps: Any, responses: Any) -> Any:
    return taps, responses


def _repeat(steps: int) -> Callable[[Any], Any]:
    """Return what turns a step into so many of them on one batch."""

    def wrap(step):
        return lambda state, batch: jax.lax.scan(
            lambda state, _: step(state, batch), state, length=steps
        )

    return wrap
