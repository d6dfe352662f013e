"""What theory predicts of the largest learning rate in wide ReLU networks.

Gradient descent with the rate eta changes the last state of `network.last_state` by

    dz_L = -eta s^2 sum_l |relu(z_l)|^2 J_l J_l^T g,      g = dL/dz_L,

to first order, where J_l is the Jacobian of z_L with respect to z_{l+1}, and s is the
branch scale, 1 in a plain network. In the limit of wide layers `|relu(z_l)|^2` is half
of `|z_l|^2`. With r the growth of `|z|^2` per layer, the Jacobian of k layers has
`J J^T` with mean r^k, and with the second moment `r^{2k} (1 + k v)`: the relative
variance v of one layer's spectrum adds up over the layers (the product of free random
matrices). So all L terms are equally long, and

    ||dz_L||^2 = (eta s^2 r^{L-1} |z_0|^2 / 2)^2 S |g|^2,
    S = sum_{j,k<L} (1 + v min(j, k)) = L^2 + v L (L - 1) (2 L - 1) / 6.

A plain network has r = 1 and v = 2, so a rate that changes z_L by its own length falls
like L^(-3/2). With `s = 1 / sqrt(L)` the rate does not depend on the depth.
"""

import numpy as np

from jaxnets.studies.rate.network import FirstStep


# The exponents of the depth that the text above derives for deep networks. Without a
# branch scale a residual network has none: its largest rate falls exponentially.
EXPONENTS = {"plain": -1.5, "residual, scaled": 0.0}


def spectrum(branch_scale: float | None) -> tuple[float, float]:
    """Return r and v, the growth of a layer and the relative variance of its spectrum.

    A plain layer's Jacobian is `W D` with D a diagonal of zeros and ones in equal
    numbers, and `W D W^T` has the moments 1 and 3 (Marchenko and Pastur). A residual
    layer's is `I + s W D`, whose moments are `1 + s^2` and `1 + 4 s^2 + 3 s^4`.

    Args:
        branch_scale: s; None stands for a plain network.

    Example:
        >>> spectrum(None), spectrum(1.0)
        ((1.0, 2.0), (2.0, 1.0))
    """
    if branch_scale is None:
        return 1.0, 2.0
    s_2 = branch_scale**2
    return 1 + s_2, 2 * s_2 / (1 + s_2)


def coherent_sum(layers: int, variance: float) -> float:
    """Return S, which says how the changes by all layers add up; v is `variance`.

    Example:
        >>> coherent_sum(1, 2.0), coherent_sum(8, 2.0)
        (1.0, 344.0)
    """
    return layers**2 + variance * layers * (layers - 1) * (2 * layers - 1) / 6


def predicted_log_rate(
    layers: int, branch_scale: float | None, found: FirstStep
) -> np.ndarray:
    """Return the logarithm of the rate at which `||dz_L|| = ||z_L||`, by theory.

    Args:
        layers: L.
        branch_scale: s; None stands for a plain network.
        found: What was measured at the start and at the end of each network; theory
            predicts what happens in between.
    """
    growth, variance = spectrum(branch_scale)
    start = np.asarray(found.start)
    log_change = (
        2 * np.log(1.0 if branch_scale is None else branch_scale)
        + (layers - 1) * np.log(growth)
        + np.log(start / 2)
        + 0.5 * np.log(coherent_sum(layers, variance))
        + np.asarray(found.log_gradient)
    )
    return np.asarray(0.5 * (np.log(start) + layers * np.log(growth)) - log_change)
