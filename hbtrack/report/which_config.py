"""Which config is meant by what was typed."""

import re
import sqlite3
from collections.abc import Iterable, Sequence
from itertools import takewhile

from hbtrack.errors import NotFound, UsageError
from hbtrack.report.called import called
from hbtrack.report.width import shortened
from hbtrack.store.reading import rows
from hbtrack.text import printable

_IS = "SELECT 1 FROM results WHERE run_identity = ? AND config_id = ? LIMIT 1"

_IDS = "SELECT DISTINCT config_id FROM results WHERE run_identity = ? AND rung = 0"

_BEGINNING = f"{_IDS} AND substr(config_id, 1, length(?)) = ?"

_BEST = "SELECT best_config_id AS config_id FROM searches WHERE run_identity = ?"

_RANK = "SELECT config_id FROM leaderboard WHERE run_identity = ? AND rank = ?"

_NUMBER = "SELECT config_id FROM results WHERE run_identity = ? AND config = ? LIMIT 1"

_LAST = "SELECT max(config) AS number FROM results WHERE run_identity = ? AND rung = 0"

NEAR = 3
"""So many configs are named where none is the one that was typed."""

LONGEST = 100
"""Columns that one of them may take."""


def find_config(
    connection: sqlite3.Connection, searches: Iterable[str], text: str
) -> tuple[str, str]:
    """The search and the config that `text` means: an id, best, #NUMBER, or how only one id begins.

    Where no id begins so, NUMBER and rank:RANK are known, too. Raises NotFound, with near names,
    when there is none or it may be several; UsageError when it is one in more than one search.
    """
    text = text.encode(errors="backslashreplace").decode()  # no id has what is not UTF-8
    found, problems = [], []
    for search in searches:
        try:
            found.append((search, _find(connection, search, text)))
        except NotFound as problem:
            problems.append(problem)
    if len(found) > 1:
        names = ", ".join(printable(repr(search)) for search, _ in found[:5])
        raise UsageError(
            f"{_quoted(text)} is a config of {len(found)} searches ({names}). "
            "Say which one is meant with --identity.",
            see="several-searches",
        )
    if not found:
        raise problems[0] if problems else NotFound("There is no search here yet.", see="no-search")
    return found[0]


def _find(connection: sqlite3.Connection, search: str, text: str) -> str:
    if rows(connection, _IS, [search, text]):
        return text
    if text == "best":
        return _best(connection, search)
    if match := re.fullmatch(r"#([0-9]{1,15})", text):
        return _numbered(connection, search, int(match[1]))
    ids = [row["config_id"] for row in rows(connection, _BEGINNING, [search, text, text])]
    if len(ids) == 1:
        return str(ids[0])
    if ids:
        raise NotFound(
            f"{len(ids)} configs begin with {_quoted(text)}: {_named(connection, search, ids)}. "
            "Type more of the id, or the number.",
            see="no-config",
        )
    if match := re.fullmatch(r"(rank:)?([0-9]{1,15})", text):
        return (_ranked if match[1] else _numbered)(connection, search, int(match[2]))
    ids = [row["config_id"] for row in rows(connection, _IDS, [search])]
    near = f"The nearest: {_named(connection, search, _nearest(text, ids))}."
    raise NotFound(
        f"{printable(search)} has no config {_quoted(text)}. "
        + (near if ids else "Nothing is sampled yet."),
        see="no-config",
    )


def _best(connection: sqlite3.Connection, search: str) -> str:
    (row,) = rows(connection, _BEST, [search])
    if row["config_id"] is None:
        raise NotFound(
            f"No config of {printable(search)} is best: none has a loss yet. `hbtrack report` "
            "shows how far it is.",
            see="no-config",
        )
    return str(row["config_id"])


def _ranked(connection: sqlite3.Connection, search: str, rank: int) -> str:
    for row in rows(connection, _RANK, [search, rank]):
        return str(row["config_id"])
    raise NotFound(
        f"No config of {printable(search)} has rank {rank}: not so many have a loss. "
        "`hbtrack report` shows those that do.",
        see="no-config",
    )


def _numbered(connection: sqlite3.Connection, search: str, number: int) -> str:
    for row in rows(connection, _NUMBER, [search, number]):
        return str(row["config_id"])
    last = rows(connection, _LAST, [search])[0]["number"]
    there = f"There are #1 to #{last}" if last else "Nothing is sampled yet"
    raise NotFound(f"{printable(search)} has no config #{number}. {there}.", see="no-config")


def _nearest(text: str, ids: Sequence[str]) -> list[str]:
    """Ids that contain the text; else those that begin most like it."""

    def alike(one: str) -> int:
        return sum(
            1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, text, strict=False))
        )

    inside = [one for one in ids if text in one]
    return inside or sorted(ids, key=alike, reverse=True)[:NEAR]


def _named(connection: sqlite3.Connection, search: str, ids: Sequence[str]) -> str:
    more = f" and {len(ids) - NEAR} more" if len(ids) > NEAR else ""
    configs = called(connection, ((search, one) for one in ids[:NEAR])).values()
    return ", ".join(shortened(str(config), LONGEST) for config in configs) + more


def _quoted(text: str) -> str:
    return shortened(printable(repr(text)), 80)
