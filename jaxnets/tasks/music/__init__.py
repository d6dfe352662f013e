"""Music: a network that writes tunes in ABC notation, character by character.

The default generates tunes in a scale, whose best loss is known; `--data` takes files
`*.abc`, such as those of the Nottingham Music Database.
"""

from jaxnets.tasks.music.network import made_again
from jaxnets.tasks.music.samples import drawn_tunes
from jaxnets.tasks.music.training import prepare
from jaxnets.tasks.task import Sampler, Task
from jaxnets.training import Recipe


TASK = Task(
    "music",
    Recipe(
        steps=600,
        batch_size=32,
        learning_rate=5e-3,
        warmup=50,
        evaluate_every=100,
        checkpoint_every=200,
    ),
    prepare,
    Sampler(made_again, drawn_tunes),
)
