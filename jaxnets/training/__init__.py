"""Training: a pure step, whole epochs in one call, all seeds in one program."""

from jaxnets.training.batches import Batches as Batches
from jaxnets.training.batches import generated as generated
from jaxnets.training.batches import shuffled as shuffled
from jaxnets.training.loop import History as History
from jaxnets.training.loop import NonFiniteLoss as NonFiniteLoss
from jaxnets.training.loop import first_nonfinite_layer as first_nonfinite_layer
from jaxnets.training.loop import fit as fit
from jaxnets.training.losses import classification as classification
from jaxnets.training.losses import regression as regression
from jaxnets.training.program import Program as Program
from jaxnets.training.program import compile_program as compile_program
from jaxnets.training.program import random_key as random_key
from jaxnets.training.step import Loss as Loss
from jaxnets.training.step import StepReport as StepReport
from jaxnets.training.step import TrainState as TrainState
from jaxnets.training.step import Watch as Watch
from jaxnets.training.step import make_evaluation as make_evaluation
from jaxnets.training.step import make_objective as make_objective
from jaxnets.training.step import make_step as make_step
from jaxnets.training.step import train_state as train_state
