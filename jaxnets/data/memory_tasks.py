"""Generated tasks that a network solves only with a memory over many time steps."""

import jax
import jax.numpy as jnp

from jaxnets.arguments import as_count
from jaxnets.data.splits import Labelled
from jaxnets.typing import Key


def adding_problem(key: Key, count: int, length: int) -> Labelled:
    """Draw `count` sequences of the adding problem: add two marked numbers.

    Each step has a value, uniform in [0, 1), and a marker. The marker is 1 at two
    steps, each drawn uniformly, one in the first half, `0 <= t_1 < length // 2`, and
    one in the second, `length // 2 <= t_2 < length`; it is 0 at all others. The target
    after the last step is `y = value[t_1] + value[t_2]`.

    Baseline: a network without memory predicts 1, the mean of the sum. Its mean squared
    error is 1/6 = 0.1667, the variance of the sum.

    Args:
        key: A `jax.random.key`.
        count: Number of sequences B. Static under `jit`.
        length: Number of time steps T, at least 2. Static under `jit`.

    Returns:
        `Labelled(x, y)`, JAX arrays: `x` (B, T, 2) float32, whose features are value
        and marker; `y` (B, 1) float32 in [0, 2), the shape of a network's output.

    Raises:
        TypeError: If `count` or `length` is not an integer.
        ValueError: If `count` is below 1 or `length` below 2.

    Example:
        >>> import jax
        >>> from jaxnets.data import adding_problem
        >>> x, y = adding_problem(jax.random.key(0), count=4, length=50)
        >>> x.shape, y.shape
        ((4, 50, 2), (4, 1))
        >>> x[..., 1].sum(axis=1)
        Array([2., 2., 2., 2.], dtype=float32)

    Source: Hochreiter and Schmidhuber 1997, "Long Short-Term Memory", experiment 4, in
    the form of Arjovsky, Shah and Bengio 2016, "Unitary Evolution Recurrent Neural
    Networks", section 4. In 1997 the values are in [-1, 1], the lengths vary, both ends
    have the marker -1, and the target is scaled into [0, 1].
    """
    as_count(count, "count")
    as_count(length, "length", minimum=2)
    value_key, first_key, second_key = jax.random.split(key, 3)
    value = jax.random.uniform(value_key, (count, length), jnp.float32)
    t_1 = jax.random.randint(first_key, (count,), 0, length // 2)
    t_2 = jax.random.randint(second_key, (count,), length // 2, length)
    marker = jax.nn.one_hot(t_1, length, dtype=jnp.float32)
    marker += jax.nn.one_hot(t_2, length, dtype=jnp.float32)
    y = jnp.sum(value * marker, axis=1, keepdims=True)
    return Labelled(jnp.stack([value, marker], axis=-1), y)


def copy_memory(
    key: Key, count: int, lag: int, *, symbols: int = 8, payload: int = 10
) -> Labelled:
    """Draw `count` sequences of the copy task: repeat symbols after `lag` steps.

    With `p` payload symbols `a_1 ... a_p`, the blank `_` and the delimiter `|`:

        x = a_1 ... a_p  _ (lag - 1 times)  |  _ (p times)
        y = _ (lag + p times)                  a_1 ... a_p

    The payload is uniform in `0 ... symbols - 1`, the blank is the integer `symbols`
    and the delimiter `symbols + 1`, so there are `symbols + 2` categories. Embed the
    integers, or pass `jax.nn.one_hot(x, symbols + 2)` to a network.

    Baseline: a network without memory predicts the blanks and guesses the payload
    uniformly. Its mean cross-entropy is `payload * log(symbols) / (lag + 2 * payload)`
    nats per step, which is 0.1733 for the defaults and a lag of 100.

    Args:
        key: A `jax.random.key`.
        count: Number of sequences B. Static under `jit`.
        lag: Steps from the end of the payload to the delimiter, at least 1. Static
            under `jit`.
        symbols: Number of different payload symbols, at least 2. Static under `jit`.
        payload: Number of symbols to remember, at least 1. Static under `jit`.

    Returns:
        `Labelled(x, y)`, JAX arrays of int32, both (B, lag + 2 * payload).

    Raises:
        TypeError: If one of them is not an integer.
        ValueError: If `count`, `lag` or `payload` is below 1, or `symbols` below 2.

    Example:
        >>> import jax
        >>> from jaxnets.data import copy_memory
        >>> copy_memory(jax.random.key(0), count=1, lag=3, symbols=2, payload=2)
        Labelled(x=Array([[1, 0, 2, 2, 3, 2, 2]], dtype=int32),
                 y=Array([[2, 2, 2, 2, 2, 1, 0]], dtype=int32))

    Source: Arjovsky, Shah and Bengio 2016, "Unitary Evolution Recurrent Neural
    Networks", section 4, after Hochreiter and Schmidhuber 1997. `lag` is its T.
    """
    as_count(count, "count")
    as_count(lag, "lag")
    as_count(symbols, "symbols", minimum=2)
    as_count(payload, "payload")
    blank, delimiter = symbols, symbols + 1
    data = jax.random.randint(key, (count, payload), 0, symbols, jnp.int32)
    blanks = jnp.full((count, lag + payload), blank, jnp.int32)
    x = jnp.concatenate([data, blanks.at[:, lag - 1].set(delimiter)], axis=1)
    y = jnp.concatenate([blanks, data], axis=1)
    return Labelled(x, y)
