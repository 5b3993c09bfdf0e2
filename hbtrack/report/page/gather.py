"""Read from the public views what a page is made from. The queries are shown on the page, too."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import islice
from math import inf, isfinite
from pathlib import Path
from sys import intern
from typing import Any

from hbtrack.core.records import unix
from hbtrack.report.config import working_directory
from hbtrack.report.failures import failure_groups
from hbtrack.report.page.facts import CAUSES, Attempt, Driver, Facts, Result
from hbtrack.report.state import state_of
from hbtrack.store.reading import Row
from hbtrack.text import printable
from hbtrack.version import __version__

Params = dict[str, dict[str, object]]

CONFIGS = 20_000
"""The parameters of at most so many configs are read, besides those of the best."""

SEARCH = "SELECT * FROM searches WHERE run_identity = :identity"

RUNGS = """
SELECT pass, bracket, rung, epochs, configs_entered, done, failed, promoted, best_loss, cutoff_loss
FROM rungs WHERE run_identity = :identity ORDER BY pass, bracket DESC, rung"""

RESULTS = """
SELECT pass, bracket, rung, slot, config_id, epochs, status, loss, promoted
FROM results WHERE run_identity = :identity ORDER BY pass, bracket DESC, rung, slot"""

INCUMBENTS = """
SELECT finished_at, epochs_spent, config_id, epochs, loss
FROM incumbents WHERE run_identity = :identity ORDER BY finished_at, epochs_spent"""

CURVES = """
SELECT DISTINCT config_id, epochs, loss
FROM results WHERE run_identity = :identity AND status = 'done' ORDER BY config_id, epochs"""

RANKS = """
SELECT pass, bracket, rung, now.config_id, count(*) OVER (PARTITION BY pass, bracket, rung) AS n,
    rank() OVER (PARTITION BY pass, bracket, rung ORDER BY now.loss)
        + (count(*) OVER (PARTITION BY pass, bracket, rung, now.loss) - 1) / 2.0 AS rank,
    rank() OVER (PARTITION BY pass, bracket, rung ORDER BY later.loss)
        + (count(*) OVER (PARTITION BY pass, bracket, rung, later.loss) - 1) / 2.0 AS next_rank
FROM (SELECT * FROM results WHERE promoted = 1) AS now
JOIN (SELECT pass, bracket, rung - 1 AS rung, slot, loss FROM results
    WHERE run_identity = :identity AND status = 'done') AS later
    USING (pass, bracket, rung, slot)
WHERE run_identity = :identity ORDER BY pass, bracket DESC, rung, rank"""

_PARAMS = """
SELECT config_id, name, value FROM params
WHERE run_identity = :identity AND config_id IN (SELECT value FROM json_each(:config_ids))"""

PARAMS_LOSS = """
SELECT p.name, p.value, l.loss, l.epochs, l.config_id
FROM leaderboard l JOIN params p USING (run_identity, config_id)
WHERE l.run_identity = :identity ORDER BY p.name, l.rank"""

ATTEMPTS = """
SELECT worker, gpu, config_id, epochs, status, script_sha256, started_at, finished_at
FROM attempts WHERE run_identity = :identity ORDER BY worker, started_at"""

DRIVERS = """
SELECT driver, host, workers, started_at, seen_at, ended_at
FROM drivers WHERE run_identity = :identity ORDER BY driver"""

RUNNING = """
SELECT config_id, epochs, worker, gpu, started_at FROM attempts
WHERE run_identity = :identity AND finished_at IS NULL ORDER BY started_at"""

LEADERBOARD = """
SELECT rank, config_id, loss, epochs, epochs_reached, bracket, seconds, count(*) OVER () AS ranked
FROM leaderboard WHERE run_identity = :identity ORDER BY rank LIMIT 300"""

FAILURES = """
SELECT fingerprint, error_type, count(*) AS failed, min(config_id) AS for_example
FROM failures WHERE run_identity = :identity GROUP BY fingerprint, error_type
ORDER BY failed DESC"""

BEST = """
SELECT a.config_id, a.epochs, a.attempt, a.status, a.loss, a.gpu, a.host, a.seconds, a.command
FROM attempts a JOIN searches s USING (run_identity)
WHERE a.run_identity = :identity AND a.config_id = s.best_config_id AND a.epochs = s.best_epochs
ORDER BY a.status = 'done', a.attempt"""

SCRIPTS = """
SELECT script_sha256, min(started_at) AS first_at, max(started_at) AS last_at,
    count(*) AS attempts
FROM attempts WHERE run_identity = :identity GROUP BY script_sha256 ORDER BY first_at"""


def gather(connection: sqlite3.Connection, path: Path, identity: str, now: float) -> Facts:
    """All facts of a search; the caller has begun the transaction that makes them one moment.

    `path` is the database's, `now` the Unix time to show as the moment of writing.
    """
    (search,) = _rows(connection, SEARCH, identity)
    state = state_of(connection, path, identity).word
    alive = state in ("running", "orphaned")
    attempts = [_attempt(line) for line in _lines(connection, ATTEMPTS, identity)]
    drivers = _rows(connection, DRIVERS, identity)
    seen = now if state == "running" else _last_known(search, attempts, drivers)
    until = now if alive else seen
    leaders = _rows(connection, LEADERBOARD, identity)
    results = [_result(line) for line in _lines(connection, RESULTS, identity)]
    sampled = dict.fromkeys(one.config_id for one in results if one.rung == 0)
    first = islice(sampled, CONFIGS)  # those sampled first are as good a sample as any
    best = _rows(connection, BEST, identity)
    return Facts(
        search=search,
        state=state,
        left=_left(connection, identity) if state == "running" else None,
        written_at=now,
        until=until,
        version=__version__,
        database=str(path),
        cwd=working_directory(connection, identity),
        rungs=_rows(connection, RUNGS, identity),
        results=results,
        incumbents=_rows(connection, INCUMBENTS, identity),
        leaders=leaders,
        ranked=leaders[0]["ranked"] if leaders else 0,
        params=_params(connection, identity, [*first, *(row["config_id"] for row in leaders)]),
        sampled=len(sampled) > CONFIGS,
        attempts=[_closed(one, until, alive=alive) for one in attempts],
        drivers=[
            _driver(row, seen, is_last=row is drivers[-1], alive=state == "running")
            for row in drivers
        ],
        failures=failure_groups(connection, identity, CAUSES + 1),
        best_attempt=best[-1] if best else None,
    )


def _rows(connection: sqlite3.Connection, sql: str, identity: str) -> list[Row]:
    with closing(connection.execute(sql, {"identity": identity})) as cursor:
        return [dict(row) for row in cursor]


def _lines(
    connection: sqlite3.Connection, sql: str, identity: str, **values: object
) -> Iterator[tuple[Any, ...]]:
    """The same as tuples, one after the other: there may be very many."""
    with closing(connection.cursor()) as cursor:
        cursor.row_factory = None
        yield from cursor.execute(sql, {"identity": identity, **values})


def _params(connection: sqlite3.Connection, identity: str, config_ids: Iterable[str]) -> Params:
    params: Params = defaultdict(dict)
    names = json.dumps(list(config_ids))
    for config_id, name, value in _lines(connection, _PARAMS, identity, config_ids=names):
        params[intern(config_id)][intern(name)] = value
    return dict(params)


def _result(line: tuple[Any, ...]) -> Result:
    pass_, bracket, rung, slot, config_id, *rest = line
    return Result(pass_, bracket, rung, slot, intern(config_id), *rest)


def _attempt(line: tuple[Any, ...]) -> Attempt:
    """An attempt; one that is open has no end yet."""
    worker, gpu, config_id, epochs, status, script, started_at, finished_at = line
    start = unix(started_at)
    end = max(start, unix(finished_at)) if finished_at else inf
    return Attempt(worker, gpu, intern(config_id), epochs, status, intern(script), start, end)


def _closed(one: Attempt, until: float, *, alive: bool) -> Attempt:
    """The same with an end. Where no hbtrack is alive nobody has settled what it came to."""
    if isfinite(one.end):
        return one
    return replace(one, end=max(one.start, until), status=one.status if alive else "not settled")


def _last_known(search: Row, attempts: Sequence[Attempt], drivers: Sequence[Row]) -> float:
    times = [row[name] for row in drivers for name in ("started_at", "seen_at", "ended_at")]
    moments = [unix(text) for text in (*times, search["created_at"], search["finished_at"]) if text]
    ends = [one.end if isfinite(one.end) else one.start for one in attempts]
    return max([*moments, *ends])


def _driver(row: Row, seen: float, *, is_last: bool, alive: bool) -> Driver:
    start = unix(row["started_at"])
    silent = not row["ended_at"]
    known = row["ended_at"] or row["seen_at"] or row["started_at"]
    end = seen if silent and is_last else unix(known)
    return Driver(
        row["driver"],
        row["host"],
        row["workers"],
        start,
        max(start, end),
        silent=silent and not (is_last and alive),
    )


def _left(connection: sqlite3.Connection, identity: str) -> str | None:
    from hbtrack.report.time_left import remaining  # noqa: PLC0415 - slow to import

    left = remaining(connection, identity)
    return None if left is None else str(left)


def shown(sql: str, identity: str) -> str:
    """The query with the identity written out: what can be typed into any SQLite program."""
    return sql.strip().replace(":identity", _literal(identity))


def _literal(text: str) -> str:
    """The text in SQL; characters that cannot be seen are named by their number."""
    quoted = (
        f"' || char({ord(character)}) || '"
        if printable(character) != character
        else character.replace("'", "''")
        for character in text
    )
    return f"'{''.join(quoted)}'"
