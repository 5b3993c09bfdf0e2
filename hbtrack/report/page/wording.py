"""How names, numbers and times are written on the page."""

import time

from hbtrack.text import printable


def short(text: object, most: int = 120) -> str:
    """A user's text made visible on one line, and cut in its middle where it is longer."""
    shown = printable(str(text))
    half = (most - 1) // 2
    return shown if len(shown) <= most else f"{shown[:half]}…{shown[-half:]}"


def cut(text: str, most: int) -> str:
    """A line of ours, cut at its end where it is longer, between words if it can be."""
    if len(text) <= most:
        return text
    begin, _, _ = text[: most - 1].rpartition(" ")
    return f"{begin} …" if len(begin) > most // 2 else f"{text[: most - 1]}…"


def count(n: int, noun: str) -> str:
    """1 epoch, 2 epochs, 1,581 epochs."""
    return f"{n:,} {noun}" + ("" if n == 1 else "s")


def are(n: int, noun: str) -> str:
    """1 config was, 2 configs were."""
    return f"{count(n, noun)} {'was' if n == 1 else 'were'}"


def rho(value: float) -> str:
    """Spearman's correlation, never broken at the end of a line."""
    return f"ρ\u00a0=\u00a0{value:.2f}".replace("-", "\u2212")


def ordinal(n: int) -> str:
    """1st, 2nd, 3rd, 11th."""
    ending = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n:,}{ending}"


def percent(share: float) -> str:
    """A share of 0 to 1 in whole percent; what is not 0 never reads 0."""
    if 0 < share < 0.01:
        return "under 1\u00a0%"
    return f"{share:.0%}".replace("%", "\u00a0%")


def moment(seconds: float) -> str:
    """A Unix time for people, in UTC."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


def stamp(text: str | None) -> str:
    """A time of the database for people."""
    return f"{text[:10]} {text[11:19]} UTC" if text else ""


def span(seconds: float) -> str:
    """A duration in the two units that matter: 2 d 3 h, 4 min 10 s, 0.8 s."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    units = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
    for place, (size, name) in enumerate(units[:-1]):
        if whole >= size:
            lesser, lesser_name = units[place + 1]
            rest = whole % size // lesser
            return f"{whole // size} {name}" + (f" {rest} {lesser_name}" if rest else "")
    return f"{whole} s"


def listed(parts: list[str]) -> str:
    """One, two and three."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def loss(value: float) -> str:
    """A loss for the eye."""
    return f"{value:.6g}"
