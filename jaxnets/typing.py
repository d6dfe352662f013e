"""The array types that public signatures name."""

import jax
import numpy as np


# NumPy arrays are welcome wherever JAX arrays are; what comes back is JAX's.
ArrayLike = jax.Array | np.ndarray
Key = jax.Array
