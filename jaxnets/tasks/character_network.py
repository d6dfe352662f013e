"""The network of the tasks that predict characters, whose size the recipe decides."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from flax import nnx

from jaxnets import models, nn
from jaxnets.tasks.writing import alphabet_of
from jaxnets.training import Recipe


@dataclasses.dataclass(frozen=True, kw_only=True)
class CharacterRecipe(Recipe):
    """A recipe that also has the size of the network and of its training sequences.

    Attributes:
        hidden: Units of each LSTM layer.
        layers: Number of LSTM layers.
        dropout: Rate of dropout between the layers.
        length: Characters of a training sequence.

    Raises:
        TypeError: If a value has the wrong type.
        ValueError: If a value is out of range, or one layer has dropout.
    """

    hidden: int
    layers: int
    dropout: float = 0.0
    length: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dropout >= 1 or (self.dropout and self.layers == 1):
            raise ValueError(
                f"`dropout` is {self.dropout} and `layers` is {self.layers}; wanted a "
                "rate below 1, and 0 with one layer, as dropout acts between layers."
            )

    @property
    def network(self) -> dict[str, Any]:
        """The arguments of the network, which are kept with each checkpoint."""
        layers, dropout = self.layers, self.dropout
        return {"hidden": self.hidden, "num_layers": layers, "dropout": dropout}


def made_again(rngs: nnx.Rngs, about: Mapping[str, Any]) -> models.CharacterModel:
    """Return the network of a task, or of a checkpoint.

    Args:
        rngs: Source of randomness.
        about: Has the alphabet, and the network as `CharacterRecipe.network`.
    """
    vocabulary = len(alphabet_of(about))
    return models.CharacterModel(nn.LSTM, vocabulary, **about["network"], rngs=rngs)
