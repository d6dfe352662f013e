"""What one verdict on a network says about another."""

from jaxnets.gradflow.diagnosis.verdict import Verdict, moment


# By kind, and by the kind of another fault: what the two together say.
CAUSES = {
    ("vanishing", "dead"): "Dead units pass no gradient to earlier layers: see {}.",
    ("vanishing", "saturated"): "Saturated units pass almost no gradient: see {}.",
    (
        "vanishing",
        "rank-collapse",
    ): "The signal is lost on its way forward too: see {}.",
    ("exploding", "saturated"): "Large weights both saturate units and amplify the "
    "gradient: see {}.",
    ("dead", "rate-too-high"): "Too large a step of the optimiser pushed the units "
    "there: see {}.",
    ("rank-collapse", "rate-too-high"): "Too large a step of the optimiser destroyed "
    "the weights: see {}.",
    ("rank-collapse", "dead"): "Few units are left alive: see {}.",
    ("rate-too-low", "vanishing"): "The gradient itself has vanished: see {}.",
}


def with_cause(verdict: Verdict, others: list[Verdict]) -> Verdict:
    """Add what a second fault of the same network says about the cause of this one."""
    for other in others:
        words = CAUSES.get((verdict.kind, other.kind))
        # What is wrong before training is not the work of the optimiser.
        early = other.kind == "rate-too-high" and moment(0) in verdict.where
        if words and other.severity == "fault" and not early:
            cause = f"{words.format(other.where)} {verdict.cause}".strip()
            return verdict._replace(cause=cause)
    return verdict


def as_consequence(verdict: Verdict, others: list[Verdict]) -> Verdict:
    """Return a note in place of a fault that a wrong rate or sign has made.

    That is one after training, in a network whose loss did not fall because of too high
    a rate, or fell without end.
    """
    for other in others:
        makes_others = other.kind == "rate-too-high" or "sign of" in other.where
        if (
            makes_others
            and other.severity == "fault"
            and verdict.severity in ("fault", "warning")
            and verdict.where.partition(", ")[2].startswith("after ")
        ):
            what = "learning rate" if other.kind == "rate-too-high" else "sign"
            cause = f"A consequence of the {what}: see {other.where}. {verdict.cause}"
            return verdict._replace(severity="note", cause=cause.strip())
    return verdict
