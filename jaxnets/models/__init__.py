"""The named networks, built from `jaxnets.nn`.

Each constructor takes the sizes that the weights depend on. `ConvNet` needs the whole
shape of an image, `(height, width, channels)`. `PlainNet` and `ResNet` average over the
image and need only its channels. `MLP` needs the number of features of an example.
"""

from jaxnets.models.convnet import ConvNet
from jaxnets.models.mlp import MLP
from jaxnets.models.residual import PlainNet, ResNet
from jaxnets.models.sequence import CharacterModel, ManyToOne


__all__ = [
    "MLP",
    "CharacterModel",
    "ConvNet",
    "ManyToOne",
    "PlainNet",
    "ResNet",
]


def __dir__() -> list[str]:
    return sorted([*__all__, *(name for name in globals() if name.startswith("__"))])
