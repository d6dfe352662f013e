"""Recurrent networks: many-to-one and many-to-many."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.core import Tracer
from jaxtyping import Array, Float, Int

from jaxnets import functional as F
from jaxnets.arguments import as_array, as_count, described
from jaxnets.nn.module import Module
from jaxnets.nn.recurrent.stack import RecurrentStack
from jaxnets.typing import ArrayLike, Key


# Makes a recurrent layer: `nn.LSTM` or any other subclass.
Layer = Callable[..., RecurrentStack]


class ManyToOne(Module):
    """A recurrent layer and a linear layer on its last state, `y = W_hy h_T + b`.

    The outputs y are the logits of the classes, or the numbers to predict.

    Args:
        layer: `nn.RNN`, `nn.GRU`, `nn.LSTM`, `nn.MinGRU` or `nn.MinLSTM`.
        in_features: D, features of each time step.
        hidden: H, units of the recurrent layer.
        outputs: Number of classes, or of numbers to predict.
        rngs: Source of randomness; its `params` stream is used.
        **options: Further arguments of `layer`, such as its initialisers.

    Raises:
        TypeError: If `layer` does not make a recurrent layer, or a size is not an int.
        ValueError: If a size is below 1.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnets import models, nn
        >>> model = models.ManyToOne(nn.LSTM, 2, 8, 1, rngs=nnx.Rngs(0))
        >>> model(jnp.ones((5, 30, 2))).shape
        (5, 1)
    """

    def __init__(
        self,
        layer: Layer,
        in_features: int,
        hidden: int,
        outputs: int,
        *,
        rngs: nnx.Rngs,
        **options: Any,
    ):
        as_count(in_features, "in_features")
        as_count(outputs, "outputs")
        self.recurrent = _recurrent(layer, in_features, hidden, rngs, options)
        self.output = nnx.Linear(self.recurrent.out_features, outputs, rngs=rngs)

    def __call__(
        self,
        x: Float[ArrayLike, "batch time features"],
        lengths: Int[ArrayLike, " batch"] | None = None,
    ) -> Float[Array, "batch outputs"]:
        """Return `(B, outputs)` of sequences `x (B, T, D)`.

        Args:
            x: Input sequences.
            lengths: Number of valid steps of each sequence; None means all.
        """
        state, _ = self.recurrent(x, lengths=lengths)
        return self.output(self.recurrent.last_h(state))


class CharacterModel(Module):
    """A recurrent network that predicts the next character: many-to-many.

    Each character is a one-hot vector `x_t`; `y_t = W_hy h_t + b` are the logits of the
    next character. Characters are ids from 0 to `vocabulary - 1`; others raise an
    error. Under `jax.jit` the ids are not known: there `x_t` is zero for an id outside
    the vocabulary.

    Args:
        layer: `nn.RNN`, `nn.GRU`, `nn.LSTM`, `nn.MinGRU` or `nn.MinLSTM`.
        vocabulary: Number of distinct characters.
        hidden: H, units of the recurrent layer.
        rngs: Source of randomness; its `params` stream is used.
        **options: Further arguments of `layer`, such as its initialisers.

    Raises:
        TypeError: If an argument has the wrong type; in a call, if the characters are
            not integers.
        ValueError: If a size is below 1; in a call, if the characters do not have the
            shape `(B, T)` or an id is outside the vocabulary.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxnets import models, nn
        >>> model = models.CharacterModel(nn.RNN, 4, 3, rngs=nnx.Rngs(0))
        >>> model(jnp.array([[0, 1, 2, 2]])).shape
        (1, 4, 4)
    """

    def __init__(
        self,
        layer: Layer,
        vocabulary: int,
        hidden: int,
        *,
        rngs: nnx.Rngs,
        **options: Any,
    ):
        self.vocabulary = as_count(vocabulary, "vocabulary")
        self.recurrent = _recurrent(layer, vocabulary, hidden, rngs, options)
        self.output = nnx.Linear(self.recurrent.out_features, vocabulary, rngs=rngs)

    def __call__(
        self, characters: Int[ArrayLike, "batch time"]
    ) -> Float[Array, "batch time vocabulary"]:
        """Return the logits `(B, T, vocabulary)` of the character after each step."""
        _, logits = self.advance(None, characters)
        return logits

    def advance(self, state, characters: Int[ArrayLike, "batch time"], **options: Any):
        """Continue from `state`: `(state, characters) -> (state, logits)`.

        Args:
            state: State of the recurrent layer; None is its initial state.
            characters: Next characters `(B, T)`.
            **options: Options of a call of the recurrent layer, such as `resets`.

        Returns:
            The state after them, and the logits `(B, T, vocabulary)`.
        """
        characters = self._checked(characters, "characters")
        x = jax.nn.one_hot(characters, self.vocabulary)
        state, ys = self.recurrent(x, state, **options)
        return state, self.output(ys)

    def generate(
        self,
        start: Int[ArrayLike, "batch time"],
        count: int,
        *,
        key: Key | None = None,
        **options: Any,
    ) -> Int[Array, "batch count"]:
        """Generate the `count` characters that follow `start`.

        Args:
            start: First characters `(B, T)`, T at least 1.
            count: Number of characters to generate.
            key: Random key to draw each character from the softmax; None takes the most
                likely one.
            **options: `temperature`, `top_k` and `top_p` of
                `jaxnets.functional.sample_logits`.

        Returns:
            The generated characters `(B, count)`.

        Raises:
            TypeError: If `start` does not hold integers, or `count` is not an int.
            ValueError: If `start` has no character, or `count` is negative; and as the
                model does for ids outside the vocabulary, and `sample_logits` for its
                options.
        """
        start = self._checked(start, "start")
        count = as_count(count, "count", minimum=0)
        if key is None:
            options |= {"temperature": 0}
        if start.shape[1] < 1:
            raise ValueError(
                "`start` has no character; wanted at least one in each row, which the "
                "first generated character follows."
            )

        def step(state, character):
            state, logits = self.advance(state, character[:, None])
            return state, logits[:, -1]

        state, _ = self.advance(None, start[:, :-1])
        sample = functools.partial(F.sample_logits, **options)
        first = start[:, -1].astype(jnp.int32)
        _, generated = F.generate(
            step, state, first, steps=count, key=key, sample=sample
        )
        return generated

    def _checked(self, characters: Any, name: str) -> Array:
        """Return characters as an array; raise unless they are ids of shape (B, T)."""
        ids = as_array(characters, name)
        wanted = (
            f"integers of shape (batch, time), the ids 0 to {self.vocabulary - 1} of "
            "the characters"
        )
        if not jnp.issubdtype(ids.dtype, jnp.integer):
            raise TypeError(f"`{name}` has dtype {ids.dtype}; wanted {wanted}.")
        if ids.ndim != 2:
            one = " Add the batch axis of one text with `x[None]`." * (ids.ndim == 1)
            raise ValueError(f"`{name}` has shape {ids.shape}; wanted {wanted}.{one}")
        if ids.size and not isinstance(ids, Tracer):
            least, most = int(ids.min()), int(ids.max())
            if least < 0 or most >= self.vocabulary:
                found = least if least < 0 else most
                raise ValueError(f"`{name}` has the id {found}; wanted {wanted}.")
        return ids


def _recurrent(
    layer: Any, features: int, hidden: int, rngs: nnx.Rngs, options: dict[str, Any]
) -> RecurrentStack:
    """Return the recurrent layer of a network."""
    wanted = "wanted a class of recurrent layers, such as `nn.LSTM`"
    if not callable(layer) or isinstance(layer, nnx.Module):
        raise TypeError(f"`layer` is {described(layer)}; {wanted}.")
    made: Any = layer(features, hidden, rngs=rngs, **options)
    if not hasattr(made, "last_h"):
        raise TypeError(f"`layer` makes a {type(made).__name__}; {wanted}.")
    return made
