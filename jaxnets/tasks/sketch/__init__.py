"""Sketch: a network that continues drawings, point by point.

The network is a mixture density LSTM (Graves 2013). The default draws letters of
straight lines; `--data` takes an archive of pen strokes, such as those of Omniglot.
"""

from jaxnets.tasks.sketch.continuation import draw, made_again
from jaxnets.tasks.sketch.training import prepare
from jaxnets.tasks.task import Sampler, Task
from jaxnets.training import Recipe


TASK = Task(
    "sketch",
    Recipe(
        steps=1000,
        batch_size=64,
        learning_rate=5e-3,
        warmup=50,
        evaluate_every=250,
        checkpoint_every=250,
    ),
    prepare,
    Sampler(made_again, draw),
)
