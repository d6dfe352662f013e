"""Claim 2, and its networks in the plane of weight and bias variances."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets.gradflow import log_adjoint_norms, theory
from jaxnets.runs.records import Record
from jaxnets.studies.arm import Arm
from jaxnets.studies.predictions import critical_line_records, variance_records
from jaxnets.studies.theory.depth import DepthSizes, draw_network
from jaxnets.studies.theory.points import Measurement, Networks, Point, slopes


# These gains lie on both sides of the critical line, for both variances of the biases.
GAINS, BIAS_VARIANCES = (0.9, 1.1, 1.5, 2.0), (0.05, 0.3)


def chi_slope(sizes: DepthSizes, networks: Networks) -> Measurement:
    """Claim 2: a squared gradient changes by chi_1 per layer.

    That holds once the variance of the signal has converged, so the first quarter of
    the layers is left out.
    """
    n, layers = sizes.width, sizes.settled
    networks_of_a_seed = list(itertools.product(BIAS_VARIANCES, GAINS))

    def of_key(key):
        weights, x, cotangent = draw_network(key, layers, n)
        biases = jax.random.normal(jax.random.fold_in(key, 3), (layers, n))

        def of_network(network):
            bias_variance, gain = network

            def step(z, layer):
                w, b = layer
                return gain * jnp.tanh(z) @ w + jnp.sqrt(bias_variance) * b, None

            return 2 * log_adjoint_norms(step, x, (weights, biases), cotangent)

        return jax.lax.map(of_network, jnp.array(networks_of_a_seed))

    # A gradient that vanishes backwards grows along the layers.
    found = -slopes(networks.measure(of_key)[:, :, layers // 4 :])
    points = []
    for measured, (bias_variance, gain) in zip(
        found.T, networks_of_a_seed, strict=True
    ):
        chi = theory.chi_1(
            jnp.tanh, weight_variance=gain**2, bias_variance=bias_variance
        )
        family = _family(bias_variance)
        points.append(Point(family, gain, measured, float(np.log(chi))))
    return Measurement(points, layers * (n**2 + n))


def phase_plane(arm: Arm) -> list[Record]:
    """Return the records of the networks and the critical line in the plane."""
    records = critical_line_records(arm, jnp.tanh)
    for bias_variance, gain in itertools.product(BIAS_VARIANCES, GAINS):
        network = arm._replace(family=_family(bias_variance), size=gain)
        records += variance_records(network, gain**2, bias_variance)
    return records


def _family(bias_variance: float) -> str:
    return f"bias variance {bias_variance:g}"
