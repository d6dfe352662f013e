"""When to measure: functions from a step number to a boolean, usable inside jit."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets.arguments import as_array, as_count, described


Schedule = Callable[[jax.Array | int], jax.Array]

# Step numbers are int32.
LAST_STEP = 2**31 - 1


def every(steps: int) -> Schedule:
    """Return the schedule that measures at steps 0, k, 2k, and so on.

    Args:
        steps: k, at least 1.

    Returns:
        `schedule(step) -> bool`, a pure function of an int or an integer array.

    Raises:
        TypeError: If `steps` is not an int.
        ValueError: If `steps` is below 1.

    Example:
        >>> from jaxnets.gradflow import every
        >>> schedule = every(64)
        >>> [step for step in range(200) if schedule(step)]
        [0, 64, 128, 192]

    Source: Schneider et al. 2021, "Cockpit", whose schedule is called `linear`.
    """
    steps = as_count(steps, "steps")
    return lambda step: _number(step) % steps == 0


def log_spaced(per_decade: int) -> Schedule:
    """Return the schedule that measures at steps evenly spaced on a logarithmic axis.

    The steps are 0 and `round(10^(j / n))` for j = 0, 1, 2, ... They are dense at the
    start of training, where gradients change most, and there are about `9 n` of them in
    a billion steps. The first steps, which are further apart on this axis, are all
    measured.

    Args:
        per_decade: n, the number of steps from 1 to 10, from 10 to 100, and so on, at
            least 1.

    Returns:
        `schedule(step) -> bool`, a pure function of an int or an integer array.

    Raises:
        TypeError: If `per_decade` is not an int.
        ValueError: If `per_decade` is below 1.

    Example:
        >>> from jaxnets.gradflow import log_spaced
        >>> schedule = log_spaced(3)
        >>> [step for step in range(1001) if schedule(step)]
        [0, 1, 2, 5, 10, 22, 46, 100, 215, 464, 1000]

    Source: Schneider et al. 2021, "Cockpit", whose schedule `logarithmic` also takes a
    range of steps.
    """
    per_decade = as_count(per_decade, "per_decade")
    count = int(np.log10(LAST_STEP) * per_decade) + 1
    spaced = np.rint(10.0 ** (np.arange(count) / per_decade))
    steps = np.unique(np.append(spaced, 0)).astype(np.int32)
    return lambda step: (_number(step)[..., None] == steps).any(axis=-1)


def _number(step: Any) -> jax.Array | np.ndarray:
    """Return a step number as an array; raise a TypeError unless it is an integer.

    The host counts without the device, which may be busy with a step.
    """
    on_host = isinstance(step, int | np.integer) and not isinstance(step, bool)
    number = np.asarray(step) if on_host else as_array(step, "step")
    if not jnp.issubdtype(number.dtype, jnp.integer):
        raise TypeError(
            f"`step` is {described(step)}; wanted an int or an array of integers, the "
            "number of updates so far."
        )
    return number
