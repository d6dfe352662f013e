"""The network: a bidirectional GRU reads, and a GRU that attends to it writes."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx

from jaxnets import nn
from jaxnets.tasks.decoder import END, Contrast, Decoder, Memory
from jaxnets.tasks.translation.sentences import Sentences, padded


# Sentences that are translated in one call, and the most tokens of a translation for
# each token of the source.
ROWS, GROWTH = 100, 2


class Sizes(NamedTuple):
    """Sizes of a network.

    Attributes:
        source: Number of tokens of the source.
        target: Number of tokens of the target.
        features: Features of the embeddings.
        hidden: Units of each GRU.
        dropout: Rate of dropout.
        contrasts: Whether there is a second network without attention.
    """

    source: int
    target: int
    features: int
    hidden: int
    dropout: float
    contrasts: bool


class Translator(nnx.Module):
    """An encoder and a decoder for sentences.

    Source: Bahdanau et al. 2015, "Neural Machine Translation by Jointly Learning to
    Align and Translate", for the bidirectional encoder; see `Decoder`.
    """

    def __init__(self, sizes: Sizes, *, attends: bool, rngs: nnx.Rngs):
        features, hidden, dropout = sizes.features, sizes.hidden, sizes.dropout
        self.embed = nnx.Embed(sizes.source, features, rngs=rngs)
        self.encoder = nn.GRU(
            features, hidden, bidirectional=True, name="encoder", rngs=rngs
        )
        self.dropout = nnx.Dropout(dropout, rngs=rngs)
        memory = self.encoder.out_features
        self.decoder = Decoder(
            nn.GRU,
            sizes.target,
            features,
            hidden,
            memory,
            memory,
            attends=attends,
            dropout=dropout,
            rngs=rngs,
        )

    def encode(self, source: Any, lengths: Any) -> Memory:
        """Return the memory of sentences `source (B, S)`."""
        x = self.dropout(self.embed(source))
        state, ys = self.encoder(x, lengths=lengths)
        return Memory(ys, lengths, self.encoder.last_h(state))

    def __call__(self, batch: Sentences) -> tuple[jax.Array, jax.Array]:
        """Return logits `(B, N, V)` and the weights of the attention `(B, N, S)`."""
        memory = self.encode(batch.source, batch.source_lengths)
        return self.decoder(memory, batch.targets)


def make_network(rngs: nnx.Rngs, sizes: Sizes) -> Contrast:
    """Return the network, with one without attention beside it if `sizes` say so."""
    make = lambda attends: Translator(sizes, attends=attends, rngs=rngs)
    return Contrast(make, contrasts=sizes.contrasts)


def translated(
    network: Translator, rows: Sequence[Sequence[int]], *, beams: int
) -> list[list[list[int]]]:
    """Return for each row of tokens its `beams` likeliest translations, best first."""
    most = max(map(len, rows))
    graphdef, state = nnx.split(network)

    @functools.partial(jax.jit, static_argnames="steps")
    def search(state, source, lengths, steps):
        network = nnx.merge(graphdef, state)
        memory = network.encode(source, lengths)
        return network.decoder.write(memory, beams=beams, steps=steps)

    found = []
    count = min(ROWS, len(rows))
    for start in range(0, len(rows), count):
        part = rows[start : start + count]
        # All calls have one shape, so that the program is compiled once.
        filled = [*part, *[part[0]] * (count - len(part))]
        result = search(state, *padded(filled, most), steps=GROWTH * most + 10)
        tokens = np.asarray(result)[: len(part)]
        found += [[beam[: _length(beam)].tolist() for beam in row] for row in tokens]
    return found


def _length(tokens: np.ndarray) -> int:
    """Return the number of tokens before `END`."""
    ends = np.flatnonzero(tokens == END)
    return int(ends[0]) if len(ends) else len(tokens)
