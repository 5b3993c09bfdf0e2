"""Text made safe and short for people: terminals, log lines, tables."""

import json
import math
import unicodedata

_UNSAFE_FORMAT = frozenset(
    "\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"
)


def printable(text: str) -> str:
    """The text with everything that could move a cursor, recolour or reorder made visible."""
    if text.isprintable():
        return text
    return "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
    unsafe = unicodedata.category(character) in ("Cc", "Cs") or character in _UNSAFE_FORMAT
    return character.encode("unicode_escape").decode() if unsafe else character


def width_of(text: str) -> int:
    """How many columns of a terminal a printable text takes."""
    if text.isascii():
        return len(text)
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def shortened(text: str, width: int) -> str:
    """The beginning of a text that is wider than that, with an ellipsis of three dots."""
    if width_of(text) <= width:
        return text
    room = max(0, width - 3)
    while width_of(text) > room:
        text = text[: room if len(text) > room else -1]
    return text + "..."


def field(value: object) -> str:
    """A value in a key=value line: bare if it is one word, else quoted as JSON quotes."""
    text = printable(str(value))
    bare = text and not any(character.isspace() or character in "\"'=" for character in text)
    return text if bare else json.dumps(text, ensure_ascii=False)


def option(name: str, value: str | None) -> list[str]:
    """An option with its value as argparse takes it, also where that begins with a dash."""
    if value is None:
        return []
    return [f"{name}={value}"] if value.startswith("-") else [name, value]


def duration(seconds: float | None) -> str:
    """Seconds as 0:00:07, 26:14:00, or - where they are not known."""
    if seconds is None or not math.isfinite(seconds):
        return "-"
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
