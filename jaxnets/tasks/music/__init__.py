"""Music: a network that writes tunes in ABC notation, character by character.

The default generates tunes in a scale, whose best loss is known; `--data` takes files
`*.abc`, such as those of the Nottingham Music Database.
"""

from jaxnets.tasks.character_network import CharacterRecipe, made_again
from jaxnets.tasks.music.samples import drawn_tunes
from jaxnets.tasks.music.training import prepare
from jaxnets.tasks.task import Sampler, Task


TASK = Task(
    "music",
    CharacterRecipe(
        steps=600,
        batch_size=32,
        learning_rate=5e-3,
        warmup=50,
        evaluate_every=100,
        checkpoint_every=200,
        hidden=192,
        layers=2,
        dropout=0.2,
        length=128,
    ),
    prepare,
    Sampler(made_again, drawn_tunes),
)
