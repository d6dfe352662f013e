"""Another learning rate, or clipping, tried on a copy of the network."""

import math
from collections.abc import Iterator
from typing import Any

from jaxnets.gradflow.diagnosis import verdicts
from jaxnets.gradflow.diagnosis.training.rates import (
    has_gradient,
    loss_curves,
    rate_verdict,
    update_ratio,
    written,
)
from jaxnets.gradflow.diagnosis.verdict import Verdict, moment, select
from jaxnets.gradflow.evidence.remedies.trials import Trial, Trials
from jaxnets.runs.formatting import format_number
from jaxnets.runs.records import Record


# The size of a usual update, relative to the array.
USUAL = 1e-3
# The norm that gradients are usually clipped to.
CLIP = 1.0


def with_other_rate(verdict: Verdict, trials: Trials) -> Verdict:
    """Train a copy at other learning rates, and with clipping; say how the loss falls.

    Nothing is trained, and so nothing is said, if no number of updates was given, or
    the first network, of which the copy is, has no gradient.

    Args:
        verdict: One of the kinds `rate-too-high` and `rate-too-low`.
        trials: The remedies for its network.
    """
    collector = trials.collector
    first = select(trials.records, step=0, seed=0)
    if not (collector.steps and has_gradient(first)):
        return verdict
    sentences, after = [], None
    for words, records in _trained(verdict, trials):
        (curve,) = loss_curves(records) or [[math.nan]]
        number = update_ratio(records, verdict.kind)
        after = number if after is None else after
        found = rate_verdict(records, "")
        sentences.append(f"With {words} {_outcome(curve, collector.steps)}.")
        if _falls(curve) and found is None:
            after = number
            break
    return verdict._replace(after=after, tried=" ".join(sentences))


def with_clipping(verdict: Verdict, trials: Trials) -> tuple[str, bool]:
    """Train a copy with the gradient clipped, where it explodes before training.

    Clipping changes no gradient, but the steps. So it shows in the loss only.

    Returns:
        How the loss falls with it and without it in words, and whether it falls better;
        no words where nothing is trained.
    """
    steps = trials.collector.steps
    without = loss_curves(trials.records)
    if not (steps and without and verdict.kind == "exploding"):
        return "", False
    words, records = _clipped(trials)
    (curve,) = loss_curves(records) or [[math.nan]]
    end = without[0][-1]
    better = _falls(curve) and not end <= curve[-1]
    sentence = f"With {words} {_outcome(curve, steps)}; without, it ends at"
    return f"{sentence} {written(end)}.", better


def after_training(verdict: Verdict, trials: Trials) -> Iterator[Trial]:
    """Yield other learning rates and clipping, for what was well before training.

    Args:
        verdict: A verdict on the network after its last update.
        trials: The remedies for its network.
    """
    steps = trials.collector.steps
    arose = steps and moment(steps) in verdict.where and verdict.severity == "fault"
    before = select(trials.records, step=0)
    if not arose or any(v.kind == verdict.kind for v in verdicts(before)):
        return
    for words, records in _trained(verdict, trials):
        pattern = "clip" if "clipped" in words else "learning rate"
        yield Trial(words, pattern, lambda records=records: records)


def _trained(verdict: Verdict, trials: Trials) -> Iterator[tuple[str, list[Record]]]:
    """Yield what was changed, in words, and the records of the training."""
    import optax

    optimizer = trials.collector.optimizer

    def scaled(factor: float) -> Any:
        # The factor is part of the optimiser's state, so that all share a program.
        scale = optax.inject_hyperparams(optax.scale)(step_size=factor)
        return optax.chain(optimizer, scale)

    collector = trials.collector.trained_by(scaled(1.0))
    for factor in _factors(verdict):
        collector.optimizer = scaled(factor)
        yield _in_words(factor), collector.after(trials.model)
    if verdict.kind != "rate-too-low":
        yield _clipped(trials)


def _clipped(trials: Trials) -> tuple[str, list[Record]]:
    """Return what was changed, in words, and the records of the training."""
    import optax

    collector = trials.collector
    clipped = optax.chain(optax.clip_by_global_norm(CLIP), collector.optimizer)
    words = f"the gradient clipped to a norm of {CLIP:g}"
    train = lambda: collector.trained_by(clipped).after(trials.model)
    return words, trials.once("clipped", train) or []


def _falls(curve: list[float]) -> bool:
    return curve[-1] < curve[0] - 0.01 * abs(curve[0])


def _outcome(curve: list[float], steps: int) -> str:
    begin, end = (written(curve[place]) for place in (0, -1))
    if _falls(curve):
        return f"the loss falls from {begin} to {end} in {steps} updates"
    return (
        f"the loss still does not fall: {begin} at the start, {end} after "
        f"{steps} updates"
    )


def _factors(verdict: Verdict) -> list[float]:
    """Return a tenth or ten times, and what gives an update of the usual size."""
    first = 10.0 if verdict.kind == "rate-too-low" else 0.1
    about_rate = verdict.kind in ("rate-too-low", "rate-too-high")
    if not (about_rate and 0 < verdict.number < math.inf):
        return [first]
    usual = 10.0 ** round(math.log10(USUAL / verdict.number))
    return list(dict.fromkeys((first, usual)))


def _in_words(factor: float) -> str:
    if factor < 1:
        names = {0.1: "a tenth", 0.01: "a hundredth", 0.001: "a thousandth"}
        part = names.get(round(factor, 12), f"{format_number(factor)} times")
        return (
            f"{part} of the learning rate"
            if "times" not in part
            else (f"{part} the learning rate")
        )
    return f"{format_number(factor)} times the learning rate"
