"""What an option's text means; each raises argparse's complaint where it means nothing."""

import argparse
import os
import re
from collections.abc import Callable


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """A whole number from `least` to `most`."""

    def number(text: str) -> int:
        if not (text.isascii() and text.isdigit()) or int(text) < least:
            raise argparse.ArgumentTypeError(f"must be a whole number from {least}, not {text!r}")
        if most is not None and int(text) > most:
            raise argparse.ArgumentTypeError(f"must be at most {most}, not {text}")
        return int(text)

    return number


MOST_AT_ONCE = 1024
"""Each has a process and three open files, and the loop looks at all of them whenever one ends."""


def at_once(text: str) -> int:
    """How many scripts run at once."""
    number = whole(1)(text)
    if number > MOST_AT_ONCE:
        raise argparse.ArgumentTypeError(
            f"must be at most {MOST_AT_ONCE}, not {number}: each needs a process and three open "
            "files, and more only wait for each other"
        )
    return number


def gpus(text: str) -> str:
    """Which GPUs: all, none or 0,2."""
    if not re.fullmatch(r"all|none|[0-9]+(,[0-9]+)*", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"must be all, none, or numbers as 0,2; not {text!r}")
    return text


def folder(text: str) -> str:
    """The absolute path of a folder that is there."""
    if not text:  # of an unset variable; it would mean the working directory
        raise argparse.ArgumentTypeError("must be a folder, and is empty")
    path = os.path.abspath(os.path.expanduser(text))  # noqa: PTH100, PTH111 - no pathlib here
    if not os.path.isdir(path):  # noqa: PTH112
        raise argparse.ArgumentTypeError(f"must be a folder that is there, not {text!a}")
    try:
        path.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(f"must have a name in UTF-8, not {text!a}") from None
    return path


def finite(text: str) -> float:
    """A number that is neither infinite nor not a number."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if value - value != 0:  # nan and the infinities
        raise argparse.ArgumentTypeError(f"must be a finite number, not {text!r}")
    return value


def size(text: str) -> int:
    """Bytes of 500MiB, 2G, 1000."""
    match = re.fullmatch(r"([0-9]+)\s*(?:([KMGT])i?B?|B)?", text, re.ASCII | re.IGNORECASE)
    if not match:
        raise argparse.ArgumentTypeError(f"must be a size such as 500MiB or 2GiB, not {text!r}")
    return int(match[1]) * int(1024 ** " KMGT".index((match[2] or " ").upper()))


def seconds(text: str) -> float:
    """A number of seconds, 0 or more."""
    value = finite(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"must not be negative, but is {text}")
    return value


def or_none(kind: Callable[[str], object]) -> Callable[[str], object]:
    """The same values, or the word none for None."""

    def value(text: str) -> object:
        return None if text == "none" else kind(text)

    return value


UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def time(text: str) -> float:
    """Seconds of 90, 30m, 1h30m, 2d."""
    parts = re.findall(r"([0-9]+(?:\.[0-9]+)?)([smhd]?)", text, re.ASCII)
    whole = "".join(number + unit for number, unit in parts) == text
    bare = any(not unit for _, unit in parts[:-1]) or (len(parts) > 1 and not parts[-1][1])
    seconds = sum(float(number) * UNITS[unit or "s"] for number, unit in parts)
    if not parts or not whole or bare or seconds == 0:
        raise argparse.ArgumentTypeError(f"must be a time such as 90, 30m or 1h30m, not {text!r}")
    return seconds


def time_or_0(text: str) -> float:
    """The same, or 0."""
    return 0.0 if text == "0" else time(text)


def failures(text: str) -> str:
    """A number of failures, or a percentage of all evaluations."""
    match = re.fullmatch(r"[0-9]{1,9}|([0-9]{1,3}(?:\.[0-9]{1,6})?)%", text, re.ASCII)
    if not match or (match[1] and float(match[1]) > 100):
        raise argparse.ArgumentTypeError(f"must be a number or a percentage, not {text!r}")
    return text
