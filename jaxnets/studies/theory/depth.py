"""The claims on depth, measured in networks whose layers all have one width.

The networks are drawn for each seed, get a Gaussian input, and are not trained. `W` has
entries of variance 1 / n, so a gain g stands for a weight variance g^2.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets.gradflow import (
    branch,
    effective_path_length,
    gradient_correlation,
    log_adjoint_norms,
    theory,
)
from jaxnets.studies.theory.points import Measurement, Networks, Point


class DepthSizes(NamedTuple):
    """Sizes of the networks of the claims on depth.

    Attributes:
        width: Number of units in a layer.
        layers: Number of layers of the ReLU network of claim 1.
        settled: Number of layers of the tanh network of claim 2. In the first quarter
            of them the variance of the signal converges.
        deep: Number of layers, and of blocks, in claim 3.
        shattered: Depths of the networks of claim 4; plain ones have at most 8 layers.
        blocks: Number of residual blocks in claim 5.
        narrow: Pairs of width and depth for claim 9.
        networks: Number of networks of each seed, whose variance claim 9 is about.
    """

    width: int
    layers: int
    settled: int
    deep: int
    shattered: tuple[int, ...]
    blocks: int
    narrow: tuple[tuple[int, int], ...]
    networks: int


PLAIN_GAIN, RESIDUAL_GAIN = 0.9, 0.5
# Claim 4 takes the gradients of several outputs, so that seeds scatter less.
INPUTS, READ_OUTS = 64, 8
# In claim 5, an aligned branch has the identity plus this times a random matrix.
DEVIATION = 0.2


def initialiser_scale(sizes: DepthSizes, networks: Networks) -> Measurement:
    """Claim 1: with variance 1/n, not 2/n, each ReLU layer loses a factor of sqrt(2).

    The points are log10 of the root mean square of the signal, and of the norm of the
    gradient, after every layer, relative to the value at the start.
    """
    n, layers = sizes.width, sizes.layers
    variances = {"He": 2.0, "1/n": 1.0}

    def of_key(key):
        weights, x, cotangent = draw_network(key, layers, n)

        def of_variance(variance):
            def step(h, w):
                h = jax.nn.relu(jnp.sqrt(variance) * h @ w)
                return h, _rms(h)

            signal = jnp.log10(jax.lax.scan(step, x, weights)[1] / _rms(x))
            gradient = log_adjoint_norms(step, x, weights, cotangent) / jnp.log(10.0)
            # Counted from the output: the last gradient has passed no layer.
            passed = (gradient - gradient[-1])[-2::-1]
            return jnp.stack([signal[:-1], passed])

        return jax.vmap(of_variance)(jnp.array([*variances.values()]))

    found = networks.measure(of_key)
    points = [
        Point(
            f"{name}, {what}",
            float(passed),
            found[:, i, j, passed - 1],
            passed * theory.plain_relu_slope(variance) / np.log(10),
        )
        for i, (name, variance) in enumerate(variances.items())
        for j, what in enumerate(("signal", "gradient"))
        for passed in range(1, layers)
    ]
    return Measurement(points, layers * n**2)


def residual_growth(sizes: DepthSizes, networks: Networks) -> Measurement:
    """Claim 3: gradients are exponential in plain tanh networks, not in residual ones.

    The points are the nats that the squared gradient gains over the first k layers.
    Counted from the output, the curve of residual networks would look steeper than an
    exponential.
    """
    n, layers = min(sizes.width, 200), sizes.deep

    def of_key(key):
        weights, x, cotangent = draw_network(key, layers, n)
        outputs = jax.random.normal(jax.random.fold_in(key, 3), (layers, n, n))
        outputs = outputs / jnp.sqrt(n)

        def plain(z, layer):
            return PLAIN_GAIN * jnp.tanh(z) @ layer[0], None

        def residual(x, layer):
            return x + jnp.tanh(RESIDUAL_GAIN * x @ layer[0]) @ layer[1], None

        logs = [
            log_adjoint_norms(step, x, (weights, outputs), cotangent)
            for step in (plain, residual)
        ]
        return 2 * jnp.stack([line[:1] - line for line in logs])

    found = networks.measure(of_key)
    # The measured gradients begin after the first layer, and so do the predictions.
    plain = {"weight_variance": PLAIN_GAIN**2, "bias_variance": 0.0}
    residual = {"weight_variance": RESIDUAL_GAIN**2, "bias_variance": 0.0}
    q = theory.length_map(jnp.tanh, 1.0, **plain)
    p = 1.0 + theory.length_map(
        jnp.tanh, RESIDUAL_GAIN**2, weight_variance=1.0, bias_variance=0.0
    )
    lines = {
        "plain tanh": theory.plain_gradient_profile(jnp.tanh, layers - 1, **plain, q=q),
        "residual tanh": theory.residual_gradient_profile(
            jnp.tanh, layers - 1, **residual, p=p
        ),
    }
    points = [
        Point(name, float(k), found[:, i, k], float(2 * (line[0] - line[k])))
        for i, (name, line) in enumerate(lines.items())
        for k in range(1, layers, max(1, layers // 50))
    ]
    return Measurement(points, 2 * layers * n**2)


def shattering(sizes: DepthSizes, networks: Networks) -> Measurement:
    """Claim 4: gradients of different inputs decorrelate as 1/2^L, or 1/sqrt(L).

    The layers are ReLU layers with He's initialiser after BatchNorm, whose statistics
    are held fixed in the backward pass. One residual block has the correlation 3/4: the
    mean of 1, for the shortcut, and 1/2, for an equally strong branch. The refined
    prediction counts block by block.
    """
    n, depths = min(sizes.width, 256), sizes.shattered
    shallow = [depth for depth in depths if depth <= 8]

    def of_key(key):
        weights = jnp.sqrt(2.0) * draw_network(key, max(depths), n)[0]
        x_key, v_key = jax.random.split(jax.random.fold_in(key, 3))
        x = jax.random.normal(x_key, (INPUTS, n))
        read_outs = jax.random.normal(v_key, (READ_OUTS, 1, n))

        def correlation(layer, depth):
            # Layers beyond the depth are skipped, so one program serves all depths.
            def body(x, numbered):
                number, w = numbered
                return jnp.where(number < depth, layer(x, w), x), None

            numbered = (jnp.arange(len(weights)), weights)
            y, pullback = jax.vjp(lambda x: jax.lax.scan(body, x, numbered)[0], x)
            cotangents = jnp.broadcast_to(read_outs, (READ_OUTS, *y.shape))
            (gradients,) = jax.vmap(pullback)(cotangents)
            return jnp.mean(jax.vmap(gradient_correlation)(gradients))

        plain = lambda x, w: jax.nn.relu(_normalised(x @ w))
        residual = lambda x, w: x + jax.nn.relu(_normalised(x)) @ w
        return jnp.concatenate(
            [
                jax.lax.map(functools.partial(correlation, plain), jnp.array(shallow)),
                jax.lax.map(
                    functools.partial(correlation, residual), jnp.array(depths)
                ),
            ]
        )

    every_block = theory.residual_gradient_correlation(max(depths))
    lines = [("plain ReLU", depth, 0.5**depth, None) for depth in shallow]
    lines += [
        ("residual ReLU", depth, 0.75 * depth**-0.5, float(every_block[depth - 1]))
        for depth in depths
    ]
    found = networks.measure(of_key)
    points = [
        Point(name, float(depth), found[:, i], predicted, refined)
        for i, (name, depth, predicted, refined) in enumerate(lines)
    ]
    return Measurement(points, max(depths) * n**2)


def path_length(sizes: DepthSizes, networks: Networks) -> Measurement:
    """Claim 5: the gradient of n linear blocks passes n eps / (1 + eps) branches.

    This holds for branches that add up because each is eps times nearly the identity.
    Paths through branches with independent random weights cancel in part, which leaves
    n eps^2 / (1 + eps^2).
    """
    n, blocks = min(sizes.width, 128), sizes.blocks
    strengths = (0.1, 0.256, 0.6)

    def of_key(key):
        weights, x, cotangent = draw_network(key, blocks, n)
        aligned = jnp.eye(n) + DEVIATION * weights

        def of_strength(branches, strength):
            def network(x, branch_scale):
                def block(x, w):
                    return x + branch(strength * x @ w, branch_scale), None

                return jax.lax.scan(block, x, branches)[0]

            return effective_path_length(
                lambda a: jax.vjp(lambda x: network(x, a), x)[1](cotangent)[0]
            )

        return jnp.stack(
            [of_strength(w, eps) for w in (aligned, weights) for eps in strengths]
        ).reshape(2, len(strengths))

    found = networks.measure(of_key)
    powers = {"aligned branches": 1, "random branches": 2}
    points = [
        Point(name, eps, found[:, i, j], blocks * eps**power / (1 + eps**power))
        for i, (name, power) in enumerate(powers.items())
        for j, eps in enumerate(strengths)
    ]
    return Measurement(points, blocks * n**2)


def norm_variance(sizes: DepthSizes, networks: Networks) -> Measurement:
    """Claim 9: log ||J^T v||^2 of He's ReLU networks has variance 5 sum 1/n.

    That is the leading order; the refined prediction is the whole variance.
    """
    points = []
    for n, layers in sizes.narrow:

        def of_key(key, n=n, layers=layers):
            def of_network(key):
                # One more layer, since the first adjoint is that after the first layer.
                weights, x, cotangent = draw_network(key, layers + 1, n)
                step = lambda h, w: (jax.nn.relu(jnp.sqrt(2.0) * h @ w), None)
                cotangent = cotangent / jnp.linalg.norm(cotangent)
                return 2 * log_adjoint_norms(step, x, weights, cotangent)[0]

            keys = jax.random.split(key, sizes.networks)
            logs = jax.lax.map(of_network, keys)
            # In one of 2^n layers all units are off, and the gradient is zero.
            logs = jnp.where(jnp.isfinite(logs), logs, jnp.nan)
            return jnp.stack([jnp.nanvar(logs, ddof=1), -2 * jnp.nanmean(logs)])

        found = networks.measure(of_key)
        x = 5.0 * layers / n
        whole = theory.finite_width_spread([n] * layers)
        points.append(Point("variance", x, found[:, 0], x, whole.std**2))
        points.append(Point("mean, times -2", x, found[:, 1], x, -2 * whole.mean))
    return Measurement(points, max((d + 1) * n**2 for n, d in sizes.narrow))


def draw_network(key, layers: int, n: int):
    """Draw weights `(layers, n, n)` of variance 1/n, and input and cotangent `(n,)`."""
    w_key, x_key, g_key = jax.random.split(key, 3)
    weights = jax.random.normal(w_key, (layers, n, n)) / jnp.sqrt(n)
    return weights, jax.random.normal(x_key, (n,)), jax.random.normal(g_key, (n,))


def _rms(x):
    return jnp.sqrt(jnp.mean(jnp.square(x), axis=-1))


def _normalised(x):
    """Apply BatchNorm over the inputs, with statistics fixed in the backward pass."""
    mean, std = jnp.mean(x, axis=0), jnp.std(x, axis=0)
    return (x - jax.lax.stop_gradient(mean)) / jax.lax.stop_gradient(std + 1e-5)
