"""Verdicts on the size of a step beside the curvature, and on the gradient's noise."""

import math
from collections.abc import Iterator

from jaxnets.gradflow.diagnosis.table import Table
from jaxnets.gradflow.diagnosis.training.rates import LOWER, loss_curves
from jaxnets.gradflow.diagnosis.verdict import Verdict, moment, select, verdict_on
from jaxnets.runs.estimates import Estimate
from jaxnets.runs.formatting import format_estimate, format_number
from jaxnets.runs.records import Record


# Gradient descent on a quadratic loss diverges beyond 2. Wide networks still find a
# flatter place up to about 4, and some beyond.
STABLE, CATAPULT = 2.0, 4.0
# How near to 2 training has come to the edge of stability.
EDGE = 1.5
# A gradient is mostly noise in a batch of a tenth of the noise scale, and hardly noisy
# in one of ten times as many examples.
NOISY = 10.0
SHARPNESS_REFERENCE = (
    "Cohen et al. 2021, Gradient Descent on Neural Networks Typically Occurs at the "
    "Edge of Stability; Lewkowycz et al. 2020, The Large Learning Rate Phase of Deep "
    "Learning: the Catapult Mechanism."
)
SHARPNESS_REASON = (
    "With a learning rate eta and an eigenvalue lambda of the Hessian, a deviation is "
    "multiplied by 1 - eta lambda in each step, so that it grows if eta lambda is "
    "above 2. With momentum the limit is higher."
)


def step_verdicts(
    records: list[Record], name: str, *, too_high: bool
) -> Iterator[Verdict]:
    """Judge sharpness times learning rate, and the noise scale of the gradient.

    Args:
        records: The records of one network at all steps.
        name: Its name.
        too_high: Whether another verdict says that the learning rate is too high.
    """
    steps = sorted({record.step for record in select(records, metric="sharpness")})
    for step in steps:
        table = Table(select(records, step=step))
        verdict = _sharpness(table, records, f"{name}, {moment(step)}")
        if verdict and too_high:
            verdict = verdict._replace(remedy=LOWER)
        if verdict and not (too_high and step):
            yield verdict
    noise = _noise(Table(select(records, step=0)), f"{name}, before training")
    if noise:
        yield noise


def _sharpness(table: Table, records: list[Record], where: str) -> Verdict | None:
    sharp, rate = table.estimate("sharpness"), table.estimate("learning_rate")
    if sharp is None or rate is None:
        return None
    product = sharp.mean * rate.mean
    at_start = moment(0) in where
    if product < (STABLE if at_start else EDGE):
        return None
    trained = bool(loss_curves(records))
    sentence = (
        f"The sharpness of the loss (the largest eigenvalue of its Hessian) is "
        f"{format_number(sharp.mean)}. Times the learning rate it is "
        f"{format_number(product)}, and gradient descent is unstable above 2: "
    )
    severe = at_start and product > CATAPULT and not trained
    if at_start:
        sentence += "the loss rises at first, and falls only if it finds a flatter "
        sentence += "place."
    else:
        sentence += "training has come to the edge of stability, where the loss falls "
        sentence += "unevenly and a higher rate hardly helps."
    return Verdict(
        kind="rate-too-high" if severe else "unclear",
        severity="warning" if severe else "note",
        where=f"{where}, sharpness",
        number=product,
        sentence=sentence,
        cause="The step is too long for the curvature of the loss." if severe else "",
        remedy=LOWER if severe else "Nothing needs to change while the loss falls.",
        reference=SHARPNESS_REFERENCE,
        threshold=CATAPULT if severe else STABLE,
        reason=SHARPNESS_REASON,
    )


def _noise(table: Table, where: str) -> Verdict | None:
    scale, size = table.estimate("gradient_noise_scale"), table.estimate("batch_size")
    if any(map(math.isinf, table.seeds("gradient_noise_scale").values())):
        scale = Estimate(math.inf, None, None, 1)
    if scale is None or size is None:
        return None
    scale = scale.within((0.0, math.inf))
    value = f"{format_estimate(scale)} examples"
    if scale.mean == math.inf:
        value = "more than these batches can show"
    meaning, remedy = (
        "so that the gradient of one batch is partly signal and partly noise",
        "Nothing needs to change.",
    )
    if scale.mean > NOISY * size.mean:
        meaning = "so that most of the gradient of one batch is noise"
        remedy = "Larger batches, or a lower learning rate, make each step more useful."
    if NOISY * scale.mean < size.mean:
        meaning = "so that larger batches would hardly give a better gradient"
        remedy = "Smaller batches give nearly the same steps for less work."
    return verdict_on(
        "unclear",
        scale,
        where=f"{where}, noise of the gradient",
        sentence=(
            f"The noise scale of the gradient is {value}, and a batch has "
            f"{size.mean:.0f}, {meaning}."
        ),
        remedy=remedy,
        reference="McCandlish et al. 2018, An Empirical Model of Large-Batch Training, "
        "section 2.2.",
        threshold=size.mean,
        reason="In a batch as large as the noise scale, noise and gradient are equally "
        "large. The noise scale usually grows in training, often tenfold.",
    )
