"""The section of a study: what it shows, the verdicts beside it, the rest folded."""

from jaxnets.report.html.figure import Charts, figure_html
from jaxnets.report.html.glossary import explained
from jaxnets.report.html.markup import Markup, join, paragraphs, tag
from jaxnets.report.html.provenance import table_html, unfinished
from jaxnets.report.html.verdicts import claims_html, verdicts_html
from jaxnets.report.sections.section import Section
from jaxnets.runs.folder import Run, items


# How many figures of a study are shown; the others are folded.
SHOWN = 2


def study_html(run: Run, section: Section, charts: Charts) -> Markup:
    """Return the section of a study.

    Args:
        run: The whole run.
        section: What is drawn of the study.
        charts: The specifications of the study's charts are added here.
    """
    arms = [arm for arm in run.entries("arms") if arm.get("study") == section.study]
    initialiser = run.mapping("initialisers").get(section.study)
    texts = [initialiser] if initialiser else []
    texts += items(run.mapping("notes").get(section.study))
    figures = [figure_html(figure, charts) for figure in section.figures]
    shown, more = figures[:SHOWN], figures[SHOWN:]
    title = f"{len(more)} more chart{'' if len(more) == 1 else 's'}"
    return tag(
        "section",
        tag("h2", section.title),
        tag("p", explained(section.question), class_="lead"),
        paragraphs([*unfinished(arms), *_absent(section)], class_="remark"),
        tag(
            "div",
            tag("div", *shown, class_="figures"),
            _verdicts(run, section.study),
            class_="beside",
        ),
        folded(title, tag("div", *more, class_="figures pairs")) if more else "",
        folded("Results in numbers", table_html(section.table))
        if section.table
        else "",
        folded("How it was measured", paragraphs(texts)) if texts else "",
        id=section.study,
    )


def folded(title: str, content: Markup) -> Markup:
    """Return content that the reader unfolds."""
    return tag("details", tag("summary", title), content, class_="fold")


def _verdicts(run: Run, study: str) -> Markup:
    verdicts = [v for v in run.entries("verdicts") if v.get("study") == study]
    claims = run.entries("claims") if study == "theory" else []
    if not verdicts and not claims:
        return Markup("")
    return tag(
        "aside",
        tag("h3", "Verdicts"),
        join([verdicts_html(verdicts), claims_html(claims)]),
        class_="verdicts",
    )


def _absent(section: Section) -> list[str]:
    if not section.figures:
        return ["This run has no records of this study, so nothing is drawn here."]
    if not section.absent:
        return []
    titles = ", ".join(f"“{title}”" for title in section.absent)
    return [f"Not drawn, because this run has no records for it: {titles}."]
