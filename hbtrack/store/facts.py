"""Read back all that is recorded of a search."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from hbtrack.records import AttemptStatus, Facts, OpenAttempt, Place, unix

_PLACES = """
SELECT b.pass, b.first_epochs, r.rung, p.slot, c.config_id
FROM bracket b
    JOIN rung r ON r.bracket_pk = b.pk
    JOIN place p ON p.rung_pk = r.pk
    JOIN config c ON c.pk = p.config_pk
WHERE b.search_pk = ?"""

_RESULTS = """
SELECT c.config_id, e.epochs, a.loss
FROM config c
    JOIN evaluation e ON e.config_pk = c.pk
    JOIN attempt a ON a.pk = e.attempt_pk
WHERE c.search_pk = ? AND a.status IN ('done', 'failed', 'timeout')
    AND a.finished_at IS NOT NULL AND a.retried IS NULL"""

_MEASURED = """
SELECT e.epochs - coalesce((SELECT max(below.epochs) FROM evaluation below
        WHERE below.config_pk = e.config_pk AND below.epochs < e.epochs), 0), a.seconds
FROM attempt a JOIN evaluation e ON e.pk = a.evaluation_pk JOIN config c ON c.pk = e.config_pk
WHERE c.search_pk = ? AND a.status = 'done' AND a.seconds IS NOT NULL
ORDER BY a.pk DESC"""

_OPEN_ATTEMPTS = """
SELECT a.pk, c.config_id, e.epochs, a.status, a.worker, a.gpu, d.host, a.started_at
FROM attempt a
    JOIN evaluation e ON e.pk = a.evaluation_pk
    JOIN config c ON c.pk = e.config_pk
    JOIN driver d ON d.pk = a.driver_pk
WHERE a.finished_at IS NULL AND c.search_pk = ?
ORDER BY a.pk"""

# A driver that died without a word lived until it was last seen.
_LIVES = """
SELECT started_at, coalesce(ended_at, seen_at, started_at) FROM driver
WHERE search_pk = ? AND workers IS NOT NULL"""


Rows = Callable[[str, tuple[int]], Iterable[Sequence[Any]]]
"""Runs a query with one value: SQLAlchemy's exec_driver_sql and sqlite3's execute both do."""


def open_attempts(query: Rows, search_pk: int) -> list[OpenAttempt]:
    """The attempts that nobody has settled yet, in the order of their starts."""
    return [
        OpenAttempt(pk, config_id, epochs, AttemptStatus(status), *where)
        for pk, config_id, epochs, status, *where in query(_OPEN_ATTEMPTS, (search_pk,))
    ]


def measured(query: Rows, search_pk: int) -> Iterator[tuple[int, float]]:
    """(epochs trained, seconds) of the evaluations that are done, the last first."""
    return ((epochs, seconds) for epochs, seconds in query(_MEASURED, (search_pk,)))


def load_facts(query: Rows, search_pk: int) -> Facts:
    """All that is recorded of a search and bears on what it does next."""

    def rows(sql: str) -> Iterable[Sequence[Any]]:
        return query(sql, (search_pk,))

    lives = [unix(end) - unix(start) for start, end in rows(_LIVES)]
    places = [(Place(*key), config_id) for *key, config_id in rows(_PLACES)]
    return Facts(
        passes=tuple(_passes(places)),
        results=tuple((row[0], row[1], row[2]) for row in rows(_RESULTS)),
        entered=frozenset(places),
        open_attempts=tuple(open_attempts(query, search_pk)),
        lived=sum(max(0.0, seconds) for seconds in lives),
    )


def _passes(places: Iterable[tuple[Place, str]]) -> list[tuple[str, ...]]:
    """What was sampled is what stands in the first rungs."""
    sampled: dict[int, list[tuple[Place, str]]] = {}
    for place, config_id in places:
        if place.rung == 0:
            sampled.setdefault(place.pass_, []).append((place, config_id))
    return [
        tuple(config_id for _, config_id in sorted(sampled[pass_])) for pass_ in sorted(sampled)
    ]
