"""The sizes of the study of depth."""

import dataclasses
from collections.abc import Sequence
from typing import Literal


@dataclasses.dataclass(frozen=True)
class DepthSettings:
    """The size of the study.

    Attributes:
        depths: Numbers of layers with weights, one for each network of a family.
        widths: Number of feature maps in each stage.
        epochs: Number of passes through the training data.
        batch_size: Number of images in a batch.
        examples: Number of training images to use; None uses all.
        learning_rate: Learning rate.
        optimizer: `sgd` with momentum 0.9, which He et al. 2015 use, or `adam`, which
            needs far fewer updates where there is no BatchNorm.
        falling: Whether the rate falls tenfold after half and after three quarters of
            the updates, as in He et al. 2015.
        weight_decay: Factor of the weights that is added to their gradient.
        shift: Images are mirrored and shifted by up to this many pixels at random; with
            0 they are left as they are.
        hyper: Depths at which networks with hyper-connections are trained too, with
            and without the constraint of mHC.
    """

    depths: Sequence[int]
    widths: tuple[int, ...]
    epochs: int
    batch_size: int
    examples: int | None
    learning_rate: float
    optimizer: Literal["sgd", "adam"] = "adam"
    falling: bool = False
    weight_decay: float = 0.0
    shift: int = 0
    hyper: Sequence[int] = ()


SCALES = {
    "smoke": DepthSettings((6,), (4,), 1, 32, 64, 5e-3),
    # The last of the notes says why not SGD.
    "laptop": DepthSettings((8, 20, 32), (8,), 10, 64, None, 5e-3),
    "hour": DepthSettings(
        (20, 56, 110, 302), (8,), 60, 64, None, 3e-3, falling=True, hyper=(20,)
    ),
    # The recipe of He et al. 2015, section 4.2: 64,000 updates on CIFAR-10.
    "accelerator": DepthSettings(
        (20, 32, 44, 56, 110, 1202),
        (16, 32, 64),
        164,
        128,
        None,
        0.1,
        "sgd",
        falling=True,
        weight_decay=1e-4,
        shift=4,
        hyper=(20, 56),
    ),
}
