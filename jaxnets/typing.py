"""The array types that public signatures name."""

import jax
import numpy as np


# Functions take NumPy arrays wherever they take JAX arrays, and return JAX arrays.
ArrayLike = jax.Array | np.ndarray
Key = jax.Array
