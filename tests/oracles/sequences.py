"""Attention, searches and densities in float64, from their definitions."""

import itertools
import math
from typing import Any

import numpy as np
from scipy import stats


def attention(score, query, keys, values, lengths):
    """Return contexts and weights for `query (B, Q, F)`, by plain loops.

    `score(q, k)` is the score of one query and one key.
    """
    contexts = np.zeros((*query.shape[:2], values.shape[-1]))
    weights = np.zeros((*query.shape[:2], keys.shape[1]))
    for b, q in itertools.product(*map(range, query.shape[:2])):
        scores = [score(query[b, q], keys[b, t]) for t in range(lengths[b])]
        total = math.fsum(map(math.exp, scores))
        for t, e in enumerate(scores):
            weights[b, q, t] = math.exp(e) / total
            contexts[b, q] += weights[b, q, t] * values[b, t]
    return contexts, weights


def slopes(function, arrays, step=1e-5):
    """Return the gradients of a scalar function of float64 arrays, by differences."""
    found = []
    for number, array in enumerate(arrays):
        slope = np.zeros_like(array)
        for at in np.ndindex(array.shape):
            sides = []
            for shift in (step, -step):
                moved = array.copy()
                moved[at] += shift
                sides.append(function(*arrays[:number], moved, *arrays[number + 1 :]))
            slope[at] = (sides[0] - sides[1]) / (2 * step)
        found.append(slope)
    return found


def best_sequences(log_p, first, steps, end, penalty):
    """Return all sequences with their scores, the best first.

    `log_p(tokens)` are the log-probabilities of the token after `tokens`, of which
    `first` is the first. A sequence ends with `end`, or after `steps` tokens.
    """
    found, open_ones = [], [((), 0.0)]
    for number in range(1, steps + 1):
        longer = []
        for tokens, total in open_ones:
            for token, p in enumerate(log_p((first, *tokens))):
                one = ((*tokens, token), total + p)
                done = token == end or number == steps
                (found if done else longer).append(one)
        open_ones = longer
    scored = [(total / ((5 + len(t)) / 6) ** penalty, t) for t, total in found]
    return sorted(scored, key=lambda pair: -pair[0])


def kept(logits, top_k, top_p):
    """Return the probabilities of the classes that sampling draws from, 0 elsewhere."""
    order = sorted(range(len(logits)), key=lambda i: (-logits[i], i))[:top_k]
    p = np.exp(logits - np.max(logits))
    p /= p[order].sum()
    chosen, total = [], 0.0
    for index in order:
        if total < top_p:
            chosen.append(index)
        total += p[index]
    kept = np.zeros(len(logits))
    kept[chosen] = p[chosen] / p[chosen].sum()
    return kept


def mixture_loss(outputs, point):
    """Return minus the log-density of a point, by SciPy's normal distributions."""
    count = len(outputs) // 6
    w, m_1, m_2, s_1, s_2, r = outputs[:-1].reshape(6, count)
    densities = []
    for j in range(count):
        rho, a, b = np.tanh(r[j]), np.exp(s_1[j]), np.exp(s_2[j])
        cov: Any = [[a * a, rho * a * b], [rho * a * b, b * b]]
        normal = stats.multivariate_normal([m_1[j], m_2[j]], cov)
        densities.append(np.exp(w[j]) / np.exp(w).sum() * normal.pdf(point[:2]))
    lifted = 1 / (1 + np.exp(-outputs[-1]))
    pen = lifted if point[2] else 1 - lifted
    return -np.log(sum(densities)) - np.log(pen)


def log_mel(signal, rate, bands, length, hop, size, offset):
    """Return the log-mel spectrogram by its sums, without a fast transform."""
    mel = lambda hertz: 2595 * np.log10(1 + hertz / 700)
    hertz = np.arange(size // 2 + 1) * rate / size
    edges = np.linspace(0, mel(rate / 2), bands + 2)
    centres = 700 * (10 ** (edges / 2595) - 1)
    # A triangle interpolates between 0, 1 and 0 at three neighbouring centres.
    weights = [np.interp(hertz, centres[b : b + 3], [0, 1, 0]) for b in range(bands)]
    n, k = np.arange(length), np.arange(size // 2 + 1)
    waves = np.exp(-2j * np.pi * np.outer(k, n) / size)
    hann = np.sin(np.pi * n / length) ** 2
    starts = range(0, len(signal) - length + 1, hop)
    powers = [abs(waves @ (hann * signal[s : s + length])) ** 2 for s in starts]
    return np.log(np.stack(powers) @ np.transpose(weights) + offset)
