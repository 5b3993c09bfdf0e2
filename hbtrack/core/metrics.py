"""The numbers that a script prints beside its loss: pure.

They stand on the lines directly above it: `name=value` or `name: value`, one a line, or JSON
objects of one line each, of which the numbers are taken. Blank lines may stand between them and the
loss; the first line that is something else, or blank, ends them.
"""

import json
import re
from math import isfinite

MOST = 100
"""So many metrics of an evaluation are kept, those nearest to the loss, and so many lines read."""

LONGEST_NAME = 100
"""Characters of a name."""

_NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_LINE = re.compile(
    rf"([^\W\d][\w./@-]*)\s*[=:]\s*({_NUMBER}|[+-]?(?:nan|inf(?:inity)?))", re.IGNORECASE
)
_LONGEST = 10_000
"""A line with more characters is no metric."""


def read_metrics(stdout: str) -> dict[str, float]:
    """The metrics above the last line of `stdout` that is not blank, in the order printed.

    Of a name that was printed twice the later counts. What is then not finite is left out, and so
    are names that are too long or cannot be seen.
    """
    above = stdout.rstrip().rpartition("\n")[0].rstrip()
    found: dict[str, float] = {}
    for line in reversed(above.rsplit("\n", MOST)[-MOST:]):
        if (numbers := _numbers_of(line.strip())) is None:
            break
        for name, value in reversed(numbers.items()):
            found.setdefault(name, value)
    kept = [(name, value) for name, value in found.items() if _is_kept(name, value)]
    return dict(reversed(kept[:MOST]))


def _numbers_of(line: str) -> dict[str, float] | None:
    """The numbers of a line of metrics by their names; None where it is another line."""
    if len(line) > _LONGEST:
        return None
    if match := _LINE.fullmatch(line):
        return {match[1]: float(match[2])}
    if not (line.startswith("{") and line.endswith("}")):
        return None
    try:
        found = json.loads(line, parse_int=float)
    except (ValueError, RecursionError):
        return None
    return {name: one for name, one in found.items() if isinstance(one, float)}


def _is_kept(name: str, value: float) -> bool:
    return isfinite(value) and 0 < len(name) <= LONGEST_NAME and name.isprintable()
