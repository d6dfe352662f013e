"""Verdicts in plain sentences, the worst first."""

from math import isfinite
from typing import Any

from jaxnets.report.html.markup import Markup, bold_opening, join, tag, typeset
from jaxnets.report.intervals import number, numbers
from jaxnets.runs.catalogue import STUDIES
from jaxnets.runs.claims import CLAIMS


# From the worst to the best; each is also the CSS class that colours a verdict.
SEVERITIES = ("fault", "warning", "note", "well")
# The severity of kinds in runs that were made before verdicts had one; that of all
# other kinds is `warning`.
_SEVERITY_OF_KIND = {
    "contrast": "note",
    "unclear": "note",
    "healthy": "well",
    "solved": "well",
}
_SEVERITY_OF_CLAIM = {"yes": "well", "no": "fault"}
# Headings of what else is known of a verdict.
_BACKGROUND = {
    "reason": "Why this threshold: ",
    "other_cause": "Another possible cause: ",
    "reference": "Reference: ",
}
# How many verdicts of a study are listed; the others are folded.
SHOWN = 4


def by_severity(verdicts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return verdicts with the worst first; equal ones keep their order."""
    return sorted(verdicts, key=lambda verdict: SEVERITIES.index(severity(verdict)))


def severity(verdict: dict[str, Any]) -> str:
    """Return the severity of a verdict, which old runs imply by its kind."""
    found = verdict.get("severity")
    if found in SEVERITIES:
        return str(found)
    return _SEVERITY_OF_KIND.get(str(verdict.get("kind")), "warning")


def verdicts_html(verdicts: list[dict[str, Any]]) -> Markup:
    """Return a list of verdicts; the first is unfolded, so that it can be read."""
    ordered = by_severity(verdicts)
    return _listed([_verdict(v, unfolded=n == 0) for n, v in enumerate(ordered)])


def claims_html(claims: list[dict[str, Any]]) -> Markup:
    """Return the verdict on each claim of the study of theory."""
    return _listed([_claim(claim) for claim in claims])


def _listed(entries: list[Markup]) -> Markup:
    items = [tag("li", entry) for entry in entries]
    more = Markup("")
    if rest := items[SHOWN:]:
        title = f"{len(rest)} more verdict{'' if len(rest) == 1 else 's'}"
        more = tag("details", tag("summary", title), tag("ul", *rest), class_="more")
    return join([tag("ul", *items[:SHOWN]), more])


def _claim(claim: dict[str, Any]) -> Markup:
    found = CLAIMS.get(str(claim.get("claim")))
    opening, _, _ = str(claim.get("sentence") or "").partition(":")
    name = f"{claim.get('number')}. {found.name if found else claim.get('claim')}"
    return _folded(
        _SEVERITY_OF_CLAIM.get(str(claim.get("holds")), "warning"),
        [tag("span", name, class_="kind"), " ", opening.lower()],
        [
            tag("p", typeset(str(claim.get("statement") or ""))),
            tag("p", bold_opening(str(claim.get("sentence") or ""))),
        ],
    )


def _verdict(verdict: dict[str, Any], unfolded: bool) -> Markup:
    kind = str(verdict.get("kind") or "verdict")
    sentence = str(verdict.get("sentence") or "No sentence was written.")
    cause, remedy, tried = (
        str(verdict.get(name) or "") for name in ("cause", "remedy", "tried")
    )
    return _folded(
        severity(verdict),
        [
            tag("span", kind, class_="kind"),
            " ",
            tag("span", severity(verdict), class_="severity"),
            " ",
            tag("span", str(verdict.get("where") or ""), class_="where"),
        ],
        [
            tag("p", typeset(sentence)),
            *([tag("p", tag("strong", "Cause: "), cause)] if cause else []),
            action_html(remedy),
            *([tag("p", tag("strong", "Measured again: "), tried)] if tried else []),
            _background(verdict),
        ],
        unfolded,
    )


def _background(verdict: dict[str, Any]) -> Markup:
    """Return the number of a verdict, its reasons and its reference, folded."""
    texts = [
        tag("p", tag("em", heading), text)
        for name, heading in _BACKGROUND.items()
        if (text := str(verdict.get(name) or ""))
    ]
    measured = _measured(verdict)
    return tag(
        "details",
        tag("summary", "Numbers and reasons"),
        tag("p", measured) if measured else "",
        *texts,
        class_="evidence",
    )


def _folded(
    class_: str, summary: list[object], content: list[Markup], unfolded: bool = False
) -> Markup:
    return tag(
        "details",
        tag("summary", *summary),
        *content,
        class_=f"verdict {class_}",
        open="" if unfolded else None,
    )


def action_html(remedy: str) -> Markup:
    """Return what a reader should do, if there is something."""
    if not remedy:
        return Markup("")
    return tag("p", tag("strong", "What to do: "), remedy, class_="action")


def _unit(verdict: dict[str, Any]) -> str:
    """Return the unit of the number, which only contrasts have."""
    study = STUDIES.get(str(verdict.get("study")))
    if study is None or verdict.get("kind") != "contrast" or not study.contrast_unit:
        return ""
    return f" {study.contrast_unit}"


def _measured(verdict: dict[str, Any]) -> Markup:
    parts: list[object] = []
    ends = [verdict.get(name) for name in ("number", "low", "high")]
    finite = [end for end in ends if isinstance(end, int | float) and isfinite(end)]
    unit = _unit(verdict)
    if len(finite) == 3:
        measured, low, high = numbers(finite)
        parts.append(f"measured {measured}{unit} (interval {low} to {high})")
    elif ends[0] is not None:
        parts.append(f"measured {number(ends[0])}{unit}")
    if verdict.get("threshold") is not None:
        parts.append(f"threshold {number(verdict['threshold'])}")
    return join(parts, " · ")
