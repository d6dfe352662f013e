"""The named networks, built from `jaxnets.nn`."""

from jaxnets.models.convnet import ConvNet as ConvNet
from jaxnets.models.mlp import MLP as MLP
from jaxnets.models.residual import PlainNet as PlainNet
from jaxnets.models.residual import ResNet as ResNet
from jaxnets.models.sequence import CharacterModel as CharacterModel
from jaxnets.models.sequence import ManyToOne as ManyToOne
