"""A recurrent decoder that attends to a memory, for translations and captions."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from jaxnets import functional as F
from jaxnets import nn
from jaxnets.training import Loss
from jaxnets.typing import ArrayLike


# The token that begins and ends every sentence, and fills the places after its end.
END = 0


class Memory(NamedTuple):
    """What an encoder leaves for the decoder.

    Attributes:
        steps: What it attends to, `(B, T, D)`: a state of the encoder for each token,
            or features for each place of a picture.
        lengths: Number of real steps of each, `(B,)`; None means all.
        summary: The whole in one vector, `(B, S)`.
    """

    steps: jax.Array
    lengths: jax.Array | None
    summary: jax.Array


class Decoder(nnx.Module):
    """Predicts each token of a sentence from those before it and from a memory.

        h_t = cell(h_{t-1}, embedding of y_{t-1}),  c_t = attention(h_t, memory)
        o_t = tanh(W [h_t, c_t] + b),  logits = o_t E^T

    where E holds the embeddings of the tokens. The layer's first input is a projection
    of the summary of the memory.

    Args:
        layer: `nn.GRU` or `nn.LSTM`.
        vocabulary: Number of tokens.
        features: Features of an embedding.
        hidden: Units of the layer.
        memory_features: D of the memory.
        summary_features: S of the memory.
        attends: Whether the weights of the attention are computed. If not, they are
            equal, so that the context is the mean of the memory.
        dropout: Rate of dropout of embeddings and outputs.
        rngs: Source of randomness, with the streams `params` and `dropout`.

    Source: Luong et al. 2015, "Effective Approaches to Attention-based Neural Machine
    Translation", section 3, global attention. Press and Wolf 2017, "Using the Output
    Embedding to Improve Language Models", for the tied embeddings.
    """

    def __init__(
        self,
        layer: Callable[..., Any],
        vocabulary: int,
        features: int,
        hidden: int,
        memory_features: int,
        summary_features: int,
        *,
        attends: bool,
        dropout: float = 0.0,
        rngs: nnx.Rngs,
    ):
        self.embed = nnx.Embed(vocabulary, features, rngs=rngs)
        self.start = nnx.Linear(summary_features, features, rngs=rngs)
        self.recurrent = layer(features, hidden, name="decoder", rngs=rngs)
        self.attention = (
            nn.DotProductAttention(hidden, memory_features, hidden, rngs=rngs)
            if attends
            else None
        )
        self.output = nnx.Linear(hidden + memory_features, features, rngs=rngs)
        self.dropout = nnx.Dropout(dropout, rngs=rngs)

    def __call__(
        self, memory: Memory, targets: ArrayLike
    ) -> tuple[jax.Array, jax.Array]:
        """Return the logits `(B, N, V)` of the tokens `targets (B, N)`, and weights.

        The weights `(B, N, T)` say where in the memory each token looked.
        """
        before = jnp.pad(
            jnp.asarray(targets)[:, :-1], ((0, 0), (1, 0)), constant_values=END
        )
        x = jnp.concatenate([self._first(memory), self.embed(before)], axis=1)
        _, h = self.recurrent(self.dropout(x))
        return self._read(h[:, 1:], memory, self._keys(memory))

    def write(self, memory: Memory, *, beams: int, steps: int) -> jax.Array:
        """Return sentences of at most `steps` tokens, `(B, beams, steps)`.

        They are the likeliest ones that a beam search finds, the best first. With one
        beam each token is the likeliest one after those before, without a search.
        """
        keys = self._keys(memory)

        def step(state, token):
            state, h = self.recurrent(self.embed(token)[:, None], state)
            logits, _ = self._read(h, memory, keys)
            return state, logits[:, 0]

        state, _ = self.recurrent(self._first(memory))
        first = jnp.full(memory.steps.shape[:1], END)
        if beams == 1:
            greedy = functools.partial(F.sample_logits, temperature=0)
            _, tokens = F.generate(step, state, first, steps=steps, sample=greedy)
            return tokens[:, None]
        options: Any = {"end": END, "length_penalty": 1.0}
        return F.beam_search(
            step, state, first, beams=beams, steps=steps, **options
        ).tokens

    def _first(self, memory: Memory) -> jax.Array:
        return self.start(memory.summary)[:, None]

    def _keys(self, memory: Memory) -> jax.Array | None:
        if self.attention is None:
            return None
        return self.attention.keys(memory.steps, memory.lengths)

    def _read(
        self, h: jax.Array, memory: Memory, keys: jax.Array | None
    ) -> tuple[jax.Array, jax.Array]:
        """Return logits and weights for states `h (B, N, H)`."""
        steps, lengths = memory.steps, memory.lengths
        if self.attention is None:
            # Equal scores have equal weights.
            query = jnp.zeros((*h.shape[:-1], steps.shape[-1]))
            context, weights = F.dot_product_attention(
                query, steps, steps, lengths=lengths
            )
        else:
            context, weights = self.attention(h, steps, lengths, keys=keys)
        o = jnp.tanh(self.output(jnp.concatenate([h, context], axis=-1)))
        return self.embed.attend(self.dropout(o)), weights


def sentence_loss(
    logits: ArrayLike, targets: ArrayLike, lengths: ArrayLike
) -> tuple[jax.Array, jax.Array]:
    """Return the mean cross-entropy of the real tokens, and the share predicted right.

    Args:
        logits: `(B, N, V)`.
        targets: `(B, N)`.
        lengths: Number of real tokens of each sentence, `(B,)`.
    """
    logits, targets, lengths = map(jnp.asarray, (logits, targets, lengths))
    real = jnp.arange(targets.shape[1]) < lengths[:, None]
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, targets)
    hits = jnp.argmax(logits, axis=-1) == targets
    return jnp.mean(losses, where=real), jnp.mean(hits, where=real, dtype=jnp.float32)


@nnx.jit
def attention_weights(network: Any, batch: Any) -> jax.Array:
    """Return where the network looks as it predicts the targets, `(B, N, T)`.

    Args:
        network: Returns logits and weights for a batch.
        batch: Its argument.
    """
    return network(batch)[1]


class Contrast(nnx.Module):
    """A network with attention, and a second one without that trains along with it.

    Both see the same batches, and neither changes the other's gradient but by the
    clipping of their common norm.

    Args:
        make: `make(attends)` makes a network.
        contrasts: Whether there is a second network.
    """

    def __init__(self, make: Callable[[bool], nnx.Module], *, contrasts: bool):
        self.attentive: Any = make(True)
        self.without: Any = make(False) if contrasts else None


# How much a network looks where it should not: `penalty(weights, batch)`, a scalar.
Penalty = Callable[[jax.Array, Any], jax.Array]


def contrast_loss(
    model: Any, batch: Any, *, penalty: Penalty | None = None
) -> tuple[jax.Array, dict]:
    """Return the loss of the network with attention, whose gradient trains both.

    The gradient of each network's parameters is that of its own loss.

    Args:
        model: A `Contrast` of networks that return logits and weights for the batch.
        batch: Has `targets (B, N)` and `target_lengths (B,)`.
        penalty: Is trained along with the loss, and is not part of its value.
    """
    loss, figures = _attentive_loss(model.attentive, batch, penalty)
    if model.without is not None:
        wanted = batch.targets, batch.target_lengths
        other, _ = sentence_loss(model.without(batch)[0], *wanted)
        figures["without_attention_loss"] = other
        loss = _trained_along(loss, other)
    return loss, figures


def _attentive_loss(
    network: Any, batch: Any, penalty: Penalty | None
) -> tuple[jax.Array, dict]:
    logits, weights = network(batch)
    loss, accuracy = sentence_loss(logits, batch.targets, batch.target_lengths)
    if penalty is not None:
        loss = _trained_along(loss, penalty(weights, batch))
    return loss, {"accuracy": accuracy}


def _trained_along(loss: jax.Array, other: jax.Array) -> jax.Array:
    """Add zero to the value, and the gradient of `other` to the gradient."""
    return loss + other - jax.lax.stop_gradient(other)


def measured(
    model: Contrast, *, penalty: Penalty | None = None
) -> tuple[nnx.Module, Loss]:
    """Return the network with attention and its loss, whose gradients are shown."""
    return model.attentive, functools.partial(_attentive_loss, penalty=penalty)
