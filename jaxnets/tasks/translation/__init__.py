"""Translation: a recurrent network with attention that translates sentences."""

from jaxnets.tasks.task import Sampler, Task
from jaxnets.tasks.translation.samples import draw, made_again
from jaxnets.tasks.translation.training import prepare
from jaxnets.training import Recipe


TASK = Task(
    "translation",
    Recipe(
        steps=1500,
        batch_size=64,
        learning_rate=3e-3,
        warmup=50,
        evaluate_every=100,
        checkpoint_every=100,
    ),
    prepare,
    Sampler(made_again, draw),
)
