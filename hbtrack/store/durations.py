"""How long evaluations took: read also by reports, which need nothing else of a search's facts."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

Rows = Callable[[str, Any], Iterable[Sequence[Any]]]
"""Runs a query with its values, as sqlite3's execute does."""

SAMPLED = 400
"""Of so many configs, or up to twice as many, durations are read that stand for all of them."""

_TRAINED = """
SELECT e.epochs - coalesce((SELECT max(below.epochs) FROM _evaluation below
        WHERE below.config_pk = e.config_pk AND below.epochs < e.epochs), 0), a.seconds
FROM _attempt a JOIN _evaluation e ON e.pk = a.evaluation_pk JOIN _config c ON c.pk = e.config_pk
WHERE c.search_pk = :search AND a.status = 'done' AND a.seconds IS NOT NULL"""

_MEASURED = f"{_TRAINED} ORDER BY a.pk DESC"

_SAMPLED = f"""{_TRAINED}
    AND c.number % (SELECT 1 + count(*) / {SAMPLED} FROM _config WHERE search_pk = :search) = 0"""


def measured(query: Rows, search_pk: int) -> Iterator[tuple[int, float]]:
    """(epochs trained, seconds) of the evaluations that are done, the last first."""
    return ((epochs, seconds) for epochs, seconds in query(_MEASURED, {"search": search_pk}))


def measured_evenly(query: Rows, search_pk: int) -> list[tuple[int, float]]:
    """The same of all configs, or of so many of a large search, from its begin to its end."""
    return [(epochs, seconds) for epochs, seconds in query(_SAMPLED, {"search": search_pk})]
