"""Numbers in words of English and German, part by part, so that both can be aligned."""

from typing import NamedTuple


LIMIT = 1_000_000
ENGLISH = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
ENGLISH_TENS = [
    "twenty",
    "thirty",
    "forty",
    "fifty",
    "sixty",
    "seventy",
    "eighty",
    "ninety",
]
GERMAN = [
    "null",
    "eins",
    "zwei",
    "drei",
    "vier",
    "fünf",
    "sechs",
    "sieben",
    "acht",
    "neun",
    "zehn",
    "elf",
    "zwölf",
    "dreizehn",
    "vierzehn",
    "fünfzehn",
    "sechzehn",
    "siebzehn",
    "achtzehn",
    "neunzehn",
]
GERMAN_TENS = [
    "zwanzig",
    "dreißig",
    "vierzig",
    "fünfzig",
    "sechzig",
    "siebzig",
    "achtzig",
    "neunzig",
]


class Part(NamedTuple):
    """A word of a number.

    Attributes:
        key: What it stands for, the same in both languages, such as "thousands tens";
            "" if the other language has no such word.
        word: The word, with the blank or hyphen before it.
    """

    key: str
    word: str


def english(number: int) -> list[Part]:
    """Return the parts of a number in English, without "and".

    Example:
        >>> "".join(part.word for part in english(21_305))
        'twenty-one thousand three hundred five'
    """
    parts = _parts(number, _english_group, "thousand")
    words = [parts[0].word, *(_spaced(part.word) for part in parts[1:])]
    return [Part(part.key, word) for part, word in zip(parts, words, strict=True)]


def german(number: int) -> list[Part]:
    """Return the parts of a number in German, which is one word.

    Example:
        >>> "".join(part.word for part in german(21_305))
        'einundzwanzigtausenddreihundertfünf'
    """
    return _parts(number, _german_group, "tausend")


def _spaced(word: str) -> str:
    return word if word.startswith("-") else f" {word}"


def _parts(number: int, group, thousand: str) -> list[Part]:
    if not 0 <= number < LIMIT:
        raise ValueError(f"`number` is {number}; wanted one from 0 to {LIMIT - 1}.")
    if number == 0:
        return group(0, "", last=True)
    thousands, rest = divmod(number, 1000)
    parts = []
    if thousands:
        parts = group(thousands, "thousands ", last=False)
        parts.append(Part("thousand", thousand))
    return parts + (group(rest, "", last=True) if rest else [])


def _english_group(number: int, place: str, *, last: bool) -> list[Part]:
    """Return the parts of a number below 1000."""
    hundreds, rest = divmod(number, 100)
    parts = []
    if hundreds:
        parts = [Part(f"{place}hundreds", ENGLISH[hundreds])]
        parts.append(Part(f"{place}hundred", "hundred"))
    if rest >= 20:
        tens, ones = divmod(rest, 10)
        parts.append(Part(f"{place}tens", ENGLISH_TENS[tens - 2]))
        return parts + [Part(f"{place}ones", f"-{ENGLISH[ones]}")] * (ones > 0)
    return parts + [Part(f"{place}ones", ENGLISH[rest])] * (rest > 0 or not hundreds)


def _german_group(number: int, place: str, *, last: bool) -> list[Part]:
    """Return the parts of a number below 1000; only a last "eins" keeps its s."""
    hundreds, rest = divmod(number, 100)
    parts = []
    if hundreds:
        word = "ein" if hundreds == 1 else GERMAN[hundreds]
        parts = [Part(f"{place}hundreds", word), Part(f"{place}hundred", "hundert")]
    tens, ones = divmod(rest, 10)
    if rest >= 20 and ones:
        word = "ein" if ones == 1 else GERMAN[ones]
        parts += [Part(f"{place}ones", word), Part("", "und")]
    if rest >= 20:
        return [*parts, Part(f"{place}tens", GERMAN_TENS[tens - 2])]
    word = "ein" if rest == 1 and not last else GERMAN[rest]
    return parts + [Part(f"{place}ones", word)] * (rest > 0 or not hundreds)
