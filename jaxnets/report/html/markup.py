"""HTML that escapes by construction: plain text in, markup out."""

import html
import re
from collections.abc import Iterable


# Elements that have no content and no end.
VOID = ("input",)


class Markup(str):
    """A string that is HTML already; every other string is escaped."""


SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def typeset(text: str) -> str:
    """Return a sentence of a terminal as a page writes it: powers, minus and times.

    Example:
        >>> typeset("a factor of 6*10^4, by -0.5")
        'a factor of 6×10⁴, by −0.5'
    """
    text = re.sub(r"\^(-?\d+)", lambda power: power[1].translate(SUPERSCRIPTS), text)
    text = re.sub(r"(?<=\d)\*(?=\d)", "×", text)
    return re.sub(r"(?<![\w)])-(?=\d)", "−", text)


def escape(text: object) -> Markup:
    """Return `text` as HTML, unchanged where it is `Markup`.

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

    A trailing underscore is dropped from an attribute's name, and the others become
    hyphens, so that `class_` and `aria_label` can be written. None leaves one out.

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


def paragraphs(texts: Iterable[object], **attributes: object) -> Markup:
    """Return each text as a paragraph."""
    return join(tag("p", text, **attributes) for text in texts)
