"""The first look: for each study one sentence, one chart and one action."""

from typing import Any

from jaxnets.report.charts.dot_plot import DotPlot
from jaxnets.report.charts.figures import Figure, first_look
from jaxnets.report.html.figure import Charts, legend_html, panel_html
from jaxnets.report.html.glossary import explained
from jaxnets.report.html.markup import Markup, join, tag, typeset
from jaxnets.report.html.verdicts import action_html, by_severity
from jaxnets.report.sections.section import Section


def card_html(
    section: Section, verdicts: list[dict[str, Any]], charts: Charts | None
) -> Markup:
    """Return the card of a study.

    Args:
        section: The section of the study.
        verdicts: The verdicts of the study.
        charts: The specification of the card's chart is added here. None leaves the
            chart out.
    """
    worst = by_severity(verdicts)
    return tag(
        "article",
        tag("h3", tag("a", section.title, href=f"#{section.study}")),
        tag("p", _sentence(section, worst), class_="headline"),
        "" if charts is None else _chart(section, charts),
        action_html(_remedy(section, worst)),
        class_="card",
    )


def _remedy(section: Section, worst: list[dict[str, Any]]) -> str:
    """Return the remedy of the worst verdict, if possible one on the headline."""
    subject = section.headline.subject if section.headline else ""
    on_it = [v for v in worst if str(v.get("where") or "").startswith(subject)]
    remedies = (str(verdict.get("remedy") or "") for verdict in [*on_it, *worst])
    return next(filter(None, remedies), "")


def _sentence(section: Section, worst: list[dict[str, Any]]) -> Markup:
    """Return what was found; without a headline the worst verdict says it."""
    if section.headline:
        number = typeset(section.headline.number)
        sentence = typeset(section.headline.sentence)
        return join([tag("strong", number), " ", explained(sentence)])
    said = [verdict for verdict in worst if verdict.get("sentence")]
    if not said:
        return explained(typeset(section.question))
    severity, kind, where, sentence = (
        str(said[0].get(field) or "")
        for field in ("severity", "kind", "where", "sentence")
    )
    alike = sum(verdict.get("severity") == severity for verdict in said)
    if severity in ("fault", "warning") and alike > 1:
        severity = f"{severity} 1 of {alike}"
    title = tag("strong", kind.capitalize())
    place = tag("small", f"{severity}: {where}")
    return join([title, " ", place, Markup("<br>"), explained(typeset(sentence))])


def _chart(section: Section, charts: Charts) -> Markup:
    plot = section.headline and section.headline.plot
    figures = [f for f in section.figures if isinstance(f, Figure | DotPlot)]
    named = [figure for figure in figures if figure.plot.name == plot]
    if not figures:
        return Markup("")
    figure = (named or figures)[0]
    figure = first_look(figure) if isinstance(figure, Figure) else figure
    panel = figure.panels[0]._replace(title=figure.heading(figure.panels[0]))
    shown = panel_html(figure, panel, f"{section.study}-first-look", charts)
    return tag("div", shown, legend_html(figure))
