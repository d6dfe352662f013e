"""The likeliest words of a sound, over all ways to spread them over its frames."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets.tasks.speech.network import BLANK
from jaxnets.typing import ArrayLike


BEAMS = 8


class _Prefixes(NamedTuple):
    """Strings of words `(K, most)` that the frames so far may be, each once.

    Attributes:
        words: Their classes, 0 after the last.
        lengths: Number of words of each; -1 for a place without a string.
        blank: Log-probability of its paths that end with a blank.
        word: That of its paths that end with its last word.
    """

    words: jax.Array
    lengths: jax.Array
    blank: jax.Array
    word: jax.Array

    @property
    def total(self) -> jax.Array:
        """The log-probability of each string."""
        return jnp.logaddexp(self.blank, self.word)


def search(
    logits: ArrayLike, frames: ArrayLike, most: int, beams: int = BEAMS
) -> jax.Array:
    """Return the words with the largest `p(words)`, the sum over their paths.

    `decode` takes the likeliest path. Where a network is not sure at which frame a word
    is, each frame may be blank most likely though no word at all is unlikely: then
    `decode` hears nothing. As `word_loss` sums over paths, so does this search.

    Args:
        logits: `(B, T, 1 + words)`.
        frames: Number of frames of each sound, `(B,)`.
        most: Number of words at most.
        beams: Number of strings that are kept after each frame.

    Returns:
        Classes `(B, most)`, with 0 after the last word.

    Example:
        >>> logits = jnp.log(jnp.array([[[0.6, 0.4]] * 3]))
        >>> search(logits, jnp.array([3]), 2)
        Array([[1, 0]], dtype=int32)

    Source: Graves et al. 2006, "Connectionist Temporal Classification", section 3.2,
    with a fixed number of prefixes after each frame as in Hannun et al. 2014,
    "First-Pass Large Vocabulary Continuous Speech Recognition using Bi-Directional
    Recurrent DNNs".
    """
    log_p = jax.nn.log_softmax(jnp.asarray(logits))
    one = functools.partial(_search_one, most=most, beams=beams)
    return jax.vmap(one)(log_p, jnp.asarray(frames))


def _search_one(
    log_p: jax.Array, frames: jax.Array, *, most: int, beams: int
) -> jax.Array:
    nothing = jnp.full(beams, -jnp.inf)
    start = _Prefixes(
        jnp.zeros((beams, most), jnp.int32),
        jnp.full(beams, -1).at[0].set(0),
        nothing.at[0].set(0.0),
        nothing,
    )

    def step(found, frame):
        number, log_p = frame
        after = _advanced(found, log_p)
        kept = lambda new, old: jnp.where(number < frames, new, old)
        return jax.tree.map(kept, after, found), None

    found, _ = lax.scan(step, start, (jnp.arange(len(log_p)), log_p))
    return found.words[jnp.argmax(found.total)]


def _advanced(found: _Prefixes, log_p: jax.Array) -> _Prefixes:
    """Return the likeliest strings after one more frame."""
    beams, most = found.words.shape
    place, row = jnp.maximum(found.lengths - 1, 0), jnp.arange(beams)
    last, total = found.words[row, place], found.total
    # A word that is repeated without a blank is the same word.
    classes = jnp.arange(1, len(log_p))
    repeated = classes == last[:, None]
    longer = jnp.where(repeated, found.blank[:, None], total[:, None]) + log_p[1:]
    longer = jnp.where(found.lengths[:, None] < most, longer, -jnp.inf)
    # Where string i with one more word is string j, the paths belong to j.
    before = found.words.at[row, place].set(BLANK)
    same = (found.words[:, None] == before).all(axis=-1)
    same &= (found.lengths[:, None] == found.lengths - 1) & (found.lengths >= 1)
    gained = jnp.where(same, longer[:, last - 1], -jnp.inf).max(axis=0)
    owned = (same[:, :, None] & repeated).any(axis=1)
    longer = jnp.where(owned, -jnp.inf, longer)
    blank = total + log_p[BLANK]
    word = jnp.logaddexp(found.word + log_p[last], gained)
    scores = jnp.concatenate([jnp.logaddexp(blank, word), longer.ravel()])
    best, index = lax.top_k(scores, beams)
    stays, added = index < beams, (index - beams) % len(classes) + 1
    source = jnp.where(stays, index, (index - beams) // len(classes))
    end = jnp.where(stays, most, found.lengths[source])
    words = found.words[source].at[row, end].set(added, mode="drop")
    lengths = found.lengths[source] + ~stays
    return _Prefixes(
        words,
        jnp.where(jnp.isneginf(best), -1, lengths),
        jnp.where(stays, blank[source], -jnp.inf),
        jnp.where(stays, word[source], best),
    )
