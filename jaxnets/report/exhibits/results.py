"""The section "Results" of the page: the figures of a task and its exhibits."""

from jaxnets.report.exhibits.drawings import (
    logo_svg,
    matrix_svg,
    roll_svg,
    strokes_svg,
)
from jaxnets.report.html.markup import Markup, join, tag, typeset
from jaxnets.report.html.provenance import table_html
from jaxnets.report.intervals import number
from jaxnets.report.sections.section import Table
from jaxnets.runs.exhibits import (
    Exhibit,
    FileLink,
    Logo,
    Marked,
    Matrix,
    Roll,
    Strokes,
    Text,
)
from jaxnets.runs.folder import Run


SOUNDS = (".wav", ".mp3", ".ogg")


def results_html(run: Run) -> Markup:
    """Return the figures and exhibits of a task; nothing if the run has neither."""
    figures = [exhibit_html(exhibit) for exhibit in run.exhibits]
    shown = tag("div", *figures, class_="exhibits") if figures else Markup("")
    return join([_metrics(run), shown])


def exhibit_html(exhibit: Exhibit) -> Markup:
    """Return one exhibit with its title and caption."""
    wide = "wide" if isinstance(exhibit, Text | Marked | Roll) else None
    caption = tag("p", typeset(exhibit.caption), class_="reading")
    return tag(
        "section",
        tag("h3", exhibit.title),
        caption if exhibit.caption else "",
        _drawn(exhibit),
        class_=wide,
    )


def _drawn(exhibit: Exhibit) -> Markup:
    match exhibit:
        case Text():
            return tag("pre", exhibit.text, class_="sample", tabindex="0")
        case Marked():
            return _marked(exhibit)
        case Matrix():
            return matrix_svg(exhibit)
        case Strokes():
            return strokes_svg(exhibit)
        case Logo():
            return logo_svg(exhibit)
        case Roll():
            return roll_svg(exhibit)
    return _link(exhibit)


def _marked(marked: Marked) -> Markup:
    tokens = (
        tag(
            "mark",
            token,
            class_="against" if weight < 0 else None,
            style=f"--share: {min(abs(weight), 1):.0%}",
            title=f"{weight:.2f} {marked.unit}".strip(),
        )
        for token, weight in zip(marked.tokens, marked.weights, strict=True)
    )
    return tag("p", *tokens, class_="marked")


def _link(link: FileLink) -> Markup:
    anchor = tag("p", tag("a", link.file, href=link.file))
    if link.file.lower().endswith(SOUNDS):
        sound = tag("audio", controls="", src=link.file, aria_label=link.title)
        return join([sound, anchor])
    return anchor


def _metrics(run: Run) -> Markup:
    metrics = run.mapping("metrics")
    if not metrics:
        return Markup("")
    rows = [[name.replace("_", " "), number(value)] for name, value in metrics.items()]
    caption = "Of the network, and of baselines on the same data."
    return table_html(Table("Figures", caption, ["Figure", "Value"], rows))
