"""The verdicts in plain sentences, at the top of the page."""

from itertools import groupby
from math import isfinite
from typing import Any

from jaxnets.report.html.markup import Markup, bold_opening, join, tag, typeset
from jaxnets.report.intervals import number, numbers
from jaxnets.runs.catalogue import STUDIES
from jaxnets.runs.folder import Run


# The kinds of verdicts that come first and last, with troubles between them.
_FIRST, _LAST = "contrast", "healthy"
# The CSS class that colours the border of a verdict; other kinds are `trouble`.
_CLASSES = {
    "contrast": "contrast",
    "healthy": "well",
    "solved": "well",
    "unclear": "open",
}
# Headings of the background of verdicts that share a remedy.
_BACKGROUND = {
    "reason": "Why this threshold: ",
    "other_cause": "Another possible cause: ",
}


def verdicts_html(run: Run) -> Markup:
    """Return the verdicts of `run` by study, each with its number and interval."""
    verdicts, claims = run.entries("verdicts"), run.entries("claims")
    if not verdicts and not claims:
        return tag(
            "p",
            "This run has no verdicts: it was stopped before they were written, or its "
            "summary.json is missing. The charts below show what was measured.",
            class_="remark",
        )
    by_study: dict[str, list[dict[str, Any]]] = {study: [] for study in STUDIES}
    for verdict in verdicts:
        by_study.setdefault(str(verdict.get("study") or ""), []).append(verdict)
    sections = [_of_study(study, found) for study, found in by_study.items() if found]
    return join([*sections, _claims(claims) if claims else ""])


def _claims(claims: list[dict[str, Any]]) -> Markup:
    """Return the verdict on each claim of the study of theory."""
    return tag(
        "section",
        tag("h3", STUDIES["theory"].title),
        tag("ul", *(_claim(claim) for claim in claims)),
        class_="verdicts",
    )


def _claim(claim: dict[str, Any]) -> Markup:
    number, statement = claim.get("number"), claim.get("statement")
    sentence = bold_opening(str(claim.get("sentence") or ""))
    kind = {"yes": "well", "no": "trouble"}.get(str(claim.get("holds")), "open")
    return tag(
        "li",
        tag("p", typeset(f"{number}. {statement}")),
        tag("p", sentence, class_="evidence"),
        class_=f"verdict {kind}",
    )


def _of_study(study: str, verdicts: list[dict[str, Any]]) -> Markup:
    ordered = sorted(verdicts, key=_rank)
    well = [verdict for verdict in ordered if verdict.get("kind") == _LAST]
    first = ordered[: len(ordered) - len(well)]
    details = Markup("")
    if well:
        title = f"Healthy: {len(well)} verdict{'' if len(well) == 1 else 's'}"
        details = tag("details", tag("summary", title), _by_remedy(well))
    return tag(
        "section",
        tag("h3", STUDIES[study].title if study in STUDIES else study or "All studies"),
        _by_remedy(first),
        details,
        class_="verdicts",
    )


def _by_remedy(verdicts: list[dict[str, Any]]) -> Markup:
    groups = groupby(verdicts, key=lambda verdict: str(verdict.get("remedy") or ""))
    return join(_with_remedy(remedy, list(group)) for remedy, group in groups)


def _rank(verdict: dict[str, Any]) -> int:
    kind = verdict.get("kind")
    return 0 if kind == _FIRST else 2 if kind == _LAST else 1


def _with_remedy(remedy: str, verdicts: list[dict[str, Any]]) -> Markup:
    """Return verdicts that share a remedy, followed by the remedy."""
    return join(
        [
            tag("ul", *(_verdict(verdict) for verdict in verdicts)),
            tag("p", tag("strong", "What to do: "), remedy, class_="remedy")
            if remedy
            else "",
            _background(verdicts),
        ]
    )


def _background(verdicts: list[dict[str, Any]]) -> Markup:
    """Return the reasons and other possible causes of verdicts, collapsed."""
    texts = [
        tag("p", tag("em", heading), text, class_="evidence")
        for name, heading in _BACKGROUND.items()
        for text in dict.fromkeys(str(v.get(name) or "") for v in verdicts)
        if text
    ]
    if not texts:
        return Markup("")
    return tag("details", tag("summary", "Why, and what else it could be"), *texts)


def _verdict(verdict: dict[str, Any]) -> Markup:
    kind = str(verdict.get("kind") or "")
    where = str(verdict.get("where") or "")
    sentence = typeset(str(verdict.get("sentence") or "No sentence was written."))
    return tag(
        "li",
        tag("p", tag("span", kind, class_="kind") if kind else "", " ", sentence),
        tag("p", _evidence(where, verdict), class_="evidence"),
        class_=f"verdict {_CLASSES.get(kind, 'trouble')}",
    )


def _unit(verdict: dict[str, Any]) -> str:
    """Return the unit of the number, which only contrasts have."""
    study = STUDIES.get(str(verdict.get("study")))
    if study is None or verdict.get("kind") != _FIRST or not study.contrast_unit:
        return ""
    return f" {study.contrast_unit}"


def _evidence(where: str, verdict: dict[str, Any]) -> Markup:
    parts: list[object] = [where] if where else []
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
