"""`verdicts`: all that the records of a run allow to say, in words."""

import math
from collections.abc import Iterable

from jaxnets.gradflow.diagnosis.activations import saturation_verdicts
from jaxnets.gradflow.diagnosis.depth import depth_verdicts
from jaxnets.gradflow.diagnosis.generalisation import overfitting_verdicts
from jaxnets.gradflow.diagnosis.memory import time_verdicts
from jaxnets.gradflow.diagnosis.verdict import Verdict, select
from jaxnets.records import Record


def verdicts(records: Iterable[Record]) -> list[Verdict]:
    """Judge the records of a run.

    - `depth` and `time`: the rate at which the gradient's norm changes on its way back,
      `d log10 ||g|| / d position` by least squares for each seed at the deepest or
      longest size, before and after training. `number` is the factor per block or time
      step, `10^rate`. It is vanishing or exploding when the 95 % interval over seeds
      (Student's t) lies beyond a factor of ten over the whole network or sequence, and
      healthy when its mean is within. Then the contrasts: plain against residual, RNN
      against GRU and LSTM, with Welch's interval. In a contrast `number` is a
      difference: in powers of ten over the network, or per 100 time steps.
    - `saturation`: the share of saturated activations, and what arrives at the first
      layer; `number` is the share, or what arrives where that is the fault.
    - `overfitting`: training minus validation accuracy, and what dropout does to it.
    - any study: numbers that are not finite. A gradient norm of exactly zero (log10
      minus infinity) is no such failure; it counts as vanished.

    A run that is not complete gives fewer verdicts: one seed has no interval, and its
    sentence says so; a missing arm has no verdict.

    Args:
        records: The records of one run, in any order.

    Returns:
        Verdicts, those on non-finite numbers first, then study by study.

    Example:
        >>> norms = [
        ...     Record(
        ...         "depth", "plain-20", "plain", 20.0, seed, 0, "log10_gradient_norm",
        ...         f"block{p}", p, -0.2 * (20 - p) + 0.01 * seed * p,
        ...     )
        ...     for seed in range(3) for p in range(21)
        ... ]
        >>> [verdict] = verdicts(norms)
        >>> verdict.kind, round(verdict.number, 3)
        ('vanishing', 0.617)

    Source: for what to expect, Pascanu, Mikolov and Bengio 2013, "On the difficulty of
    training recurrent neural networks"; He et al. 2015, "Deep Residual Learning for
    Image Recognition", section 4.1. The thresholds are ours, with their reasons where
    they stand.
    """
    found = list(records)
    return [
        *_nonfinite_verdicts(found),
        *depth_verdicts(found),
        *time_verdicts(found),
        *saturation_verdicts(found),
        *overfitting_verdicts(found),
    ]


def _nonfinite_verdicts(records: list[Record]) -> list[Verdict]:
    """One verdict for every arm with numbers that are not finite."""
    broken = [record for record in records if _is_broken(record)]
    arms = dict.fromkeys((record.study, record.arm) for record in broken)
    return [
        _nonfinite_verdict(
            select(records, study=study, arm=arm), select(broken, study=study, arm=arm)
        )
        for study, arm in arms
    ]


def _is_broken(record: Record) -> bool:
    zero_norm = record.value == -math.inf and record.metric.endswith("gradient_norm")
    return not math.isfinite(record.value) and not zero_norm


def _nonfinite_verdict(records: list[Record], broken: list[Record]) -> Verdict:
    first = min(broken, key=lambda record: record.step)
    seeds = len({record.seed for record in broken})
    return Verdict(
        f"{first.arm}, all steps",
        len(broken) / len(records),
        0.0,
        f"{len(broken)} of {len(records)} numbers are infinite or not a number, in "
        f"{seeds} of {len({record.seed for record in records})} seeds, first at step "
        f"{first.step} (`{first.metric}`). They are left out of the other verdicts.",
        "Lower the learning rate or warm it up, clip the gradient's norm, and look for "
        "a logarithm or division that meets zero.",
        "non-finite",
        first.study,
    )
