"""Train hyper-connections on digits, with and without the constraint of mHC.

`PYTHONPATH=. python benchmarks/hyper_connections.py`

Prints by how much the product of the mixings of all blocks can amplify, before and
during training: the largest of `jaxnets.nn.composite_gain` over the blocks, forward and
backward, on 64 validation images. With the constraint it is 1.
"""

import argparse

import jax
import optax
from flax import nnx

from jaxnets import nn, training
from jaxnets.data import digits
from jaxnets.studies.depth.hyper import HyperNet


def main() -> None:
    """Print the gains and the validation accuracy of both networks."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--depth", type=int, default=20)
    parser.add_argument("--channels", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--learning-rate", type=float, default=0.01)
    options = parser.parse_args()
    splits = digits()
    images = splits.validation.x[:64]
    optimizer = optax.chain(
        optax.clip_by_global_norm(1.0), optax.adam(options.learning_rate)
    )
    for constrained in (False, True):
        program = training.compile_program(
            lambda rngs, c=constrained: HyperNet(
                options.depth, 1, 10, width=options.channels, constrained=c, rngs=rngs
            ),
            training.classification,
            optimizer,
            training.shuffled(splits.train, batch_size=32),
            seeds=(0,),
        )

        def gains(state, program=program):
            one = jax.tree.map(lambda a: a[0], (state.params, state.rest))
            model = nnx.merge(program.graphdef, *one, copy=True)
            found = nn.composite_gain(model.stack, model.streams(images))
            return [gain.max() for gain in found]

        gains, state = jax.jit(gains), program.initial
        for epoch in range(options.epochs + 1):
            forward, backward = map(float, gains(state))
            accuracy = float(program.evaluate(state, splits.validation)["accuracy"][0])
            print(
                f"{'mHC' if constrained else 'hyper-connections'}, {epoch} epochs: "
                f"gain {forward:.4g} forward, {backward:.4g} backward, validation "
                f"accuracy {accuracy:.1%}",
                flush=True,
            )
            if epoch < options.epochs:
                batches = program.batches(training.random_key(epoch))
                state, _ = program.epoch(state, batches)


if __name__ == "__main__":
    main()
