"""A healthy and a sick network for each verdict that has a picture.

`picture(kind)` draws them; `notebooks/gradients/verdicts.md` shows them.
"""

import base64
from collections.abc import Callable
from typing import NamedTuple

import altair as alt
import jax
import jax.numpy as jnp
import numpy as np
import vl_convert
from IPython.display import HTML

from jaxnets import functional as F
from jaxnets.gradflow import measure, tap


DEPTH, WIDTH, BATCH, STEPS = 20, 64, 32, 40
HEALTHY, SICK = "#1a7f64", "#c8472c"
Lines = dict[str, np.ndarray]


class Picture(NamedTuple):
    """Two lines over the same axis.

    Attributes:
        x: What the horizontal axis counts.
        y: What the vertical axis measures.
        healthy: What the healthy network is.
        sick: What the sick one is.
        lines: The values of both.
        log: Whether the vertical axis shows the logarithm to base 10.
        at: The values of the horizontal axis; None counts from 1.
    """

    x: str
    y: str
    healthy: str
    sick: str
    lines: tuple[np.ndarray, np.ndarray]
    log: bool = False
    at: np.ndarray | None = None


def network(gain, activation, *, residual=0.0, bias=0.0, depth=DEPTH):
    """Return the gradient's norm and the outputs of each layer, before training."""
    w_key, x_key = jax.random.split(jax.random.key(0))
    w = gain * jax.random.normal(w_key, (depth, WIDTH, WIDTH)) / jnp.sqrt(WIDTH)

    def loss(w):
        def layer(h, w_l):
            h = residual * h + activation(tap(h @ w_l + bias, "z"))
            return h, h

        h, outputs = jax.lax.scan(layer, jax.random.normal(x_key, (BATCH, WIDTH)), w)
        return jnp.sum(h) / jnp.sqrt(WIDTH), outputs

    flow = jax.jit(lambda w: measure(loss, w, has_aux=True))(w)
    return np.asarray(flow.taps["z"].norm), np.asarray(flow.aux)


def vanishing() -> Picture:
    """Sigmoid layers beside ReLU layers with He's initialiser."""
    sick, _ = network(1.0, jax.nn.sigmoid)
    healthy, _ = network(2**0.5, jax.nn.relu)
    names = "ReLU, He's initialiser", "sigmoid, LeCun's"
    return Picture("layer", "norm of the gradient", *names, (healthy, sick), True)


def exploding() -> Picture:
    """ReLU layers with weights twice as large as He's."""
    sick, _ = network(2 * 2**0.5, jax.nn.relu)
    healthy, _ = network(2**0.5, jax.nn.relu)
    names = "He's initialiser", "weights twice as large"
    return Picture("layer", "norm of the gradient", *names, (healthy, sick), True)


def saturated() -> Picture:
    """The outputs of a tanh layer at two gains."""
    edges = np.linspace(-1, 1, 22)
    share = lambda outputs: np.histogram(outputs[5], edges)[0] / outputs[5].size
    lines = tuple(share(network(gain, jnp.tanh)[1]) for gain in (1.0, 4.0))
    y = "share of the outputs of layer 6"
    middles = (edges[1:] + edges[:-1]) / 2
    return Picture("output", y, "gain 1", "gain 4", (lines[0], lines[1]), at=middles)


def dead() -> Picture:
    """The share of units that are zero at all inputs, with and without a bias."""
    share = lambda outputs: (outputs[:8] == 0).all(axis=1).mean(axis=1)
    lines = tuple(share(network(2**0.5, jax.nn.relu, bias=b)[1]) for b in (0.0, -1.0))
    names = "biases of 0", "biases of -1"
    return Picture("layer", "share of dead units", *names, (lines[0], lines[1]))


def shattered() -> Picture:
    """The derivative of networks by their input, along a line of inputs."""
    w = jax.random.normal(jax.random.key(1), (50, 200, 200)) * jnp.sqrt(2 / 200)
    ends = jax.random.normal(jax.random.key(2), (2, 200)) / jnp.sqrt(200)

    def output(x, residual):
        start = x * ends[0] + 0.5 * ends[1]
        branch = jnp.where(residual > 0, 50**-0.5, 1.0)
        step = lambda h, w_l: (residual * h + branch * jax.nn.relu(h @ w_l), None)
        h, _ = jax.lax.scan(step, start, w)
        return h @ ends[1]

    slopes = jax.jit(jax.vmap(jax.grad(output), (0, None)))
    x = jnp.linspace(-2, 2, 200)
    lines = (np.asarray(slopes(x, r)) for r in (1.0, 0.0))
    healthy, sick = (line / np.abs(line).max() for line in lines)
    names = "50 residual layers", "50 plain layers"
    y = "derivative, scaled"
    return Picture("input", y, *names, (healthy, sick), at=np.asarray(x))


def rank_collapse() -> Picture:
    """The effective rank of the outputs over depth, with and without shortcuts."""

    def ranks(outputs):
        values = np.linalg.svd(outputs, compute_uv=False)
        p = values / values.sum(axis=1, keepdims=True)
        return np.exp(-(p * np.log(np.maximum(p, 1e-30))).sum(axis=1))

    sick = ranks(network(2**0.5, jax.nn.relu, depth=60)[1])
    branch = lambda z: jnp.tanh(z) / 60**0.5
    healthy = ranks(network(1.0, branch, residual=1.0, depth=60)[1])
    names = "tanh with shortcuts", "ReLU without"
    return Picture("layer", "effective rank of 32 outputs", *names, (healthy, sick))


def _curve(rate: float) -> np.ndarray:
    """Return the losses of gradient descent on a regression."""
    x = jax.random.normal(jax.random.key(3), (BATCH, 8))
    y = x @ jnp.arange(1.0, 9.0)
    loss = lambda w: jnp.mean((x @ w - y) ** 2)
    step = lambda w, _: (w - rate * jax.grad(loss)(w), loss(w))
    return np.asarray(jax.lax.scan(step, jnp.zeros(8), None, STEPS)[1])


def rate_too_high() -> Picture:
    """Losses of gradient descent at a rate beyond the edge of stability."""
    names = "rate 0.1", "rate 0.6"
    return Picture("update", "loss", *names, (_curve(0.1), _curve(0.6)), True)


def rate_too_low() -> Picture:
    """Losses of gradient descent at a rate that moves nothing."""
    names = "rate 0.1", "rate 0.00001"
    return Picture("update", "loss", *names, (_curve(0.1), _curve(1e-5)), True)


def padding() -> Picture:
    """The gradient of the inputs, where padded steps count and where they do not."""
    params = F.init_gru(jax.random.key(4), 4, 16)
    lengths = jnp.full((BATCH,), 20)
    x = jax.random.normal(jax.random.key(5), (BATCH, STEPS, 4))
    x = jnp.where(jnp.arange(STEPS)[:, None] < 20, x, 0.0)

    def loss(x, lengths):
        _, ys = F.gru(params, x, lengths=lengths)
        return jnp.sum(ys**2)

    norms = [
        np.linalg.norm(jax.jit(jax.grad(loss))(x, given), axis=(0, 2))
        for given in (lengths, jnp.full((BATCH,), STEPS))
    ]
    names = "with `lengths`", "without"
    y = "norm of the gradient of the input"
    return Picture("time step, of which 20 are valid", y, *names, (norms[0], norms[1]))


PICTURES: dict[str, Callable[[], Picture]] = {
    made.__name__.replace("_", "-"): made
    for made in (
        vanishing,
        exploding,
        saturated,
        dead,
        shattered,
        rank_collapse,
        rate_too_high,
        rate_too_low,
        padding,
    )
}


def picture(kind: str) -> HTML:
    """Return the picture of a verdict as an image with a description."""
    made = PICTURES[kind]()
    names = {made.healthy: HEALTHY, made.sick: SICK}
    transform = np.log10 if made.log else np.asarray
    at = range(1, len(made.lines[0]) + 1) if made.at is None else made.at
    rows = [
        {"x": float(x), "y": float(y), "network": name}
        for name, line in zip(names, made.lines, strict=True)
        for x, y in zip(at, transform(line), strict=True)
    ]
    y_title = f"{made.y} (log10)" if made.log else made.y
    chart = (
        alt.Chart(alt.InlineData(rows), width=420, height=200)
        .mark_line(strokeWidth=2)
        .encode(
            x=alt.X("x:Q", title=made.x, scale=alt.Scale(nice=False)),
            y=alt.Y("y:Q", title=y_title),
            color=alt.Color(
                "network:N",
                title=None,
                scale=alt.Scale(domain=list(names), range=list(names.values())),
                legend=alt.Legend(orient="top"),
            ),
        )
    )
    svg = vl_convert.vegalite_to_svg(chart.to_dict())
    data = base64.b64encode(svg.encode()).decode()
    alt_text = f"{y_title} over {made.x}: {made.healthy} (healthy), {made.sick} (sick)"
    return HTML(
        f'<img class="picture" alt="{alt_text}" src="data:image/svg+xml;base64,{data}">'
    )
