"""Text made safe and short for people: terminals, log lines, tables."""

import json
import math
import re
import shlex
import unicodedata

_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
"""The Unicode categories of what steers, reorders or is not seen."""
_JOINERS = "\u200c\u200d"
"""What words of some scripts, and emoji, are joined with."""
_BARE = re.compile(r"""[^\s"'=]+""")


def printable(text: str) -> str:
    """The text with everything made visible that could move a cursor, recolour, reorder or hide."""
    if text.isprintable():
        return text
    return "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
    hidden = unicodedata.category(character) in _HIDDEN and character not in _JOINERS
    return character.encode("unicode_escape").decode() if hidden else character


def field(value: object) -> str:
    """A value in a key=value line: bare if it is one word, else quoted as JSON quotes."""
    text = printable(str(value))
    return text if _BARE.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def option(name: str, value: str | None) -> list[str]:
    """An option with its value as argparse takes it, also where that begins with a dash."""
    if value is None:
        return []
    return [f"{name}={value}"] if value.startswith("-") else [name, value]


def in_folder(cwd: str, command: str) -> str:
    """The command for a shell that is somewhere else."""
    return f"cd {shlex.quote(cwd)} && {command}"


def budget(epochs: int) -> str:
    """1 epoch, 81 epochs."""
    return f"{epochs} epoch" + ("" if epochs == 1 else "s")


def data_size(size: int) -> str:
    """Bytes as 17 bytes, 2.0 KiB, 1.3 GiB."""
    if size < 1024:
        return f"{size} byte" + ("" if size == 1 else "s")
    power = min(4, (size.bit_length() - 1) // 10)
    return f"{size / 1024**power:.1f} {' KMGT'[power]}iB"


def duration(seconds: float | None) -> str:
    """Seconds as 0:00:07, 26:14:00, or - where they are not known."""
    if seconds is None or not math.isfinite(seconds):
        return "-"
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
