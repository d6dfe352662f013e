"""ResNet-20 from Flax's own layers: `jaxnets check resnet.py`."""

import itertools

import jax
import optax
from flax import nnx


classes = 10
optimizer = optax.sgd(0.1, momentum=0.9)


class Block(nnx.Module):
    """Two convolutions with BatchNorm, and a shortcut around them."""

    def __init__(self, inputs: int, outputs: int, stride: int, *, rngs: nnx.Rngs):
        conv = {"kernel_size": (3, 3), "use_bias": False, "rngs": rngs}
        self.conv1 = nnx.Conv(inputs, outputs, strides=stride, **conv)
        self.norm1 = nnx.BatchNorm(outputs, rngs=rngs)
        self.conv2 = nnx.Conv(outputs, outputs, **conv)
        self.norm2 = nnx.BatchNorm(outputs, rngs=rngs)
        self.shortcut = (
            nnx.identity
            if inputs == outputs
            else nnx.Conv(inputs, outputs, (1, 1), stride, rngs=rngs)
        )

    def __call__(self, x):
        """Return the images after the block."""
        y = self.norm2(self.conv2(nnx.relu(self.norm1(self.conv1(x)))))
        return nnx.relu(y + self.shortcut(x))


class ResNet(nnx.Module):
    """A convolution, nine blocks, and a linear layer on the mean over the image."""

    def __init__(self, *, rngs: nnx.Rngs):
        self.stem = nnx.Conv(3, 16, (3, 3), rngs=rngs)
        sizes = [16, 16, 16, 16, 32, 32, 32, 64, 64, 64]
        self.blocks = nnx.List(
            [
                Block(inputs, outputs, outputs // inputs, rngs=rngs)
                for inputs, outputs in itertools.pairwise(sizes)
            ]
        )
        self.head = nnx.Linear(64, classes, rngs=rngs)

    def __call__(self, x):
        """Return the logits of images of shape `(batch, 32, 32, 3)`."""
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean(axis=(1, 2)))


def make(rngs):
    """Return the network."""
    return ResNet(rngs=rngs)


def loss(model, batch):
    """Return the cross-entropy of a batch of images and labels."""
    images, labels = batch
    logits = model(images)
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def batch(key):
    """Return a batch; put your own images here."""
    return (
        jax.random.normal(key, (32, 32, 32, 3)),
        jax.random.randint(key, (32,), 0, classes),
    )
