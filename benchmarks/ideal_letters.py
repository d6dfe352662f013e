"""Claim: the best model of the letters of `sketch` has 3.13 nats a point.

    uv run python -m benchmarks.ideal_letters

The best model knows how letters are drawn, and nothing of a drawing but its points so
far. Its loss is minus the logarithm of the marginal probability of a drawing, divided
by the number of points. The average over sizes, slants and rotations is estimated by
importance sampling, with a Student distribution for each letter that is fitted to the
samples in steps. It prints the mean over the 300 validation drawings.
"""

import numpy as np
from scipy.special import gammaln, ndtr

from jaxnets.tasks.sketch.letters import DEVIATION, LETTERS, STEP, UNIT, drawn_letters


GRIDS = {
    name: [
        np.array([[int(x), int(y)] for x, y in stroke.split()], float)
        for stroke in strokes.split(";")
    ]
    for name, strokes in LETTERS.items()
}
# Width and height of a unit of the grid, slant and rotation, as `letters` draws them.
LOWEST = np.array([0.7 * UNIT, 0.7 * UNIT, -0.3, -0.1])
HIGHEST = np.array([1.2 * UNIT, 1.2 * UNIT, 0.3, 0.1])
FIRST, SAMPLES, FREEDOM = 6000, 2000, 6
# The powers 1/t of the probabilities that the distributions are fitted to.
TEMPERATURES = (64, 32, 16, 8, 4, 2, 1.5, 1, 1, 1)


def log_chances(points: np.ndarray, name: str, samples: np.ndarray) -> np.ndarray:
    """Return the log-probability of a drawing for each sample of size, slant, rotation.

    Args:
        points: The points of the drawing, `(T, 3)`.
        name: The letter.
        samples: `(N, 4)`.
    """
    found = np.full(len(samples), -np.inf)
    rows = np.flatnonzero(((samples >= LOWEST) & (samples <= HIGHEST)).all(axis=1))
    width, height, slant, turn = samples[rows].T
    zero, cos, sin = np.zeros(len(rows)), np.cos(turn), np.sin(turn)
    matrices = lambda *values: np.stack(values, -1).reshape(-1, 2, 2)
    shapes = matrices(width, zero, slant * height, height)
    shapes = shapes @ matrices(cos, sin, -sin, cos)
    strokes = [grid @ shapes for grid in GRIDS[name]]
    lines = [np.diff(corners, axis=1) for corners in strokes]
    parts = [np.rint(np.linalg.norm(line, axis=-1) / STEP) for line in lines]
    parts = [np.maximum(part, 1).astype(int) for part in parts]
    # A drawing tells how many points each stroke has.
    sizes = np.diff(np.flatnonzero(points[:, 2]), prepend=-1)
    fits = np.ones(len(rows), bool)
    for part, size in zip(parts, sizes, strict=True):
        fits &= part.sum(axis=1) + 1 == size
    joined = np.concatenate(parts, axis=1)
    for counts in np.unique(joined[fits], axis=0):
        which = np.flatnonzero(fits & (joined == counts).all(axis=1))
        split = np.split(counts, np.cumsum([part.shape[1] for part in parts])[:-1])
        means = []
        for k, count in enumerate(split):
            if k:
                means.append(strokes[k][which, :1] - strokes[k - 1][which, -1:])
            steps = lines[k][which] / count[:, None]
            means.append(np.repeat(steps, count, axis=1))
        distances = np.abs(points[1:, :2] - np.concatenate(means, axis=1))
        # The offsets are rounded to pixels.
        chances = ndtr((0.5 - distances) / DEVIATION)
        chances -= ndtr((-0.5 - distances) / DEVIATION)
        found[rows[which]] = np.log(np.maximum(chances, 1e-300)).sum(axis=(1, 2))
    return found


def log_marginal(
    points: np.ndarray, name: str, draw: np.random.Generator
) -> tuple[float, float]:
    """Return the log-probability of a drawing, if it is a letter, and the sample size.

    The effective sample size is 0, and the probability too, if no sample fits.
    """
    samples = draw.uniform(LOWEST, HIGHEST, (FIRST, 4))
    logs = log_chances(points, name, samples)
    for temperature in TEMPERATURES:
        if not np.isfinite(logs).any():
            return -np.inf, 0.0
        weights = np.exp((logs - logs.max()) / temperature)
        mean = np.average(samples, axis=0, weights=weights)
        spread = 1.3 * np.cov(samples.T, aweights=weights, bias=True)
        spread += np.diag((2e-3 * (HIGHEST - LOWEST)) ** 2)
        root = np.linalg.cholesky(spread)
        normal = draw.standard_normal((SAMPLES, 4))
        stretched = normal / np.sqrt(draw.chisquare(FREEDOM, (SAMPLES, 1)) / FREEDOM)
        samples = mean + stretched @ root.T
        logs = log_chances(points, name, samples)
    half = FREEDOM / 2
    proposed = gammaln(half + 2) - gammaln(half) - 2 * np.log(np.pi * FREEDOM)
    proposed -= np.log(np.diag(root)).sum()
    proposed -= (half + 2) * np.log1p((stretched**2).sum(axis=1) / FREEDOM)
    logs -= np.log(HIGHEST - LOWEST).sum() + proposed
    total = float(np.logaddexp.reduce(logs))
    if not np.isfinite(total):
        return -np.inf, 0.0
    size = np.exp(2 * total - np.logaddexp.reduce(2 * logs))
    return total - float(np.log(SAMPLES)), float(size)


def main() -> None:
    """Print the loss of the ideal model, and the smallest effective sample size."""
    validation, draw = drawn_letters().validation, np.random.default_rng(0)
    nats, sizes = 0.0, []
    for start, end in zip(validation.offsets, validation.offsets[1:], strict=False):
        points = validation.points[start:end].astype(float)
        strokes = int(points[:, 2].sum())
        names = [name for name, grid in GRIDS.items() if len(grid) == strokes]
        found = [log_marginal(points, name, draw) for name in names]
        logs = np.array([log for log, _ in found])
        nats -= np.logaddexp.reduce(logs) - np.log(len(LETTERS))
        sizes.append(found[int(logs.argmax())][1])
    # The end of a drawing is one more point, and the first is no offset.
    print(f"{nats / len(validation.points):.3f} nats a point")
    print(f"effective sample sizes of at least {min(sizes):.0f} of {SAMPLES}")


if __name__ == "__main__":
    main()
