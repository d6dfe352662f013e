"""HTML elements whose text is always escaped."""

import html
import re
from collections.abc import Iterable


# Elements without content and without an end tag.
VOID = ("input",)


class Markup(str):
    """A string of HTML; every other string is escaped."""


SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def typeset(text: str) -> str:
    """Return plain text with typographic powers, minus and multiplication signs.

    Example:
        >>> typeset("a factor of 6*10^4, by -0.5")
        'a factor of 6×10⁴, by −0.5'
    """
    text = re.sub(r"\^(-?\d+)", lambda power: power[1].translate(SUPERSCRIPTS), text)
    text = re.sub(r"(?<=\d)\*(?=\d)", "×", text)
    return re.sub(r"(?<![\w)])-(?=\d)", "−", text)


def escape(text: object) -> Markup:
    """Return `text` as HTML; `Markup` is returned unchanged.

    Example:
        >>> escape("a < b")
        'a &lt; b'
        >>> escape(Markup("<br>"))
        '<br>'
    """
    return text if isinstance(text, Markup) else Markup(html.escape(str(text)))


def join(parts: Iterable[object], separator: str = "") -> Markup:
    """Join `parts`, escaping each that is not `Markup`."""
    return Markup(escape(separator).join(escape(part) for part in parts))


def tag(name: str, *children: object, **attributes: object) -> Markup:
    """Return the element `name` with its children and attributes.

    In the names of attributes a trailing underscore is dropped and other underscores
    become hyphens: write `class_` and `aria_label`. An attribute of None is left out.

    Example:
        >>> tag("p", "1 < 2", class_="note")
        '<p class="note">1 &lt; 2</p>'
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in VOID:
        return Markup(f"<{name}{written}>")
    return Markup(f"<{name}{written}>{join(children)}</{name}>")


def bold_opening(text: str) -> Markup:
    """Return a sentence with its opening, up to the first colon, in bold.

    Example:
        >>> bold_opening("Holds: met at 3 of 3 points.")
        '<strong>Holds:</strong> met at 3 of 3 points.'
    """
    opening, colon, rest = typeset(text).partition(": ")
    return join([tag("strong", opening + colon.strip()), " ", rest])


def paragraphs(texts: Iterable[object], **attributes: object) -> Markup:
    """Return each text as a paragraph."""
    return join(tag("p", text, **attributes) for text in texts)
