"""What the database knows of failures in a row: since the last success, and tried again."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from hbtrack.core.attempt_states import FAILURES, RETRIED
from hbtrack.store.durations import Rows
from hbtrack.store.states import is_in

# From the attempt `a` on back: after how many rests it failed again although others had begun and
# succeeded in between.
TRIED = """(SELECT count(*) FROM _attempt r
    WHERE r.evaluation_pk = a.evaluation_pk AND r.pk < a.pk AND r.retried = 'rest'
        AND r.pk > coalesce((SELECT max(b.pk) FROM _attempt b
            WHERE b.evaluation_pk = a.evaluation_pk AND b.retried = 'asked'), 0)
        AND EXISTS (SELECT * FROM _attempt d JOIN _driver w ON w.pk = d.driver_pk
            WHERE w.search_pk = (SELECT search_pk FROM _driver WHERE pk = a.driver_pk)
                AND d.status = 'done' AND d.pk > r.pk
                AND d.pk < (SELECT min(n.pk) FROM _attempt n
                    WHERE n.evaluation_pk = a.evaluation_pk AND n.pk > r.pk)))"""

# The attempts of all searches lie in the order of their starts: looked at from the last one.
_LAST_SUCCESS = """
SELECT a.finished_at, a.seconds
FROM _attempt a CROSS JOIN _driver d ON d.pk = a.driver_pk
WHERE d.search_pk = ? AND a.status = 'done' ORDER BY a.pk DESC LIMIT 1"""

_RESTS_FROM = "SELECT rests_from FROM _driver WHERE search_pk = ? ORDER BY fence DESC LIMIT 1"

_SINCE = f"""
SELECT c.config_id, e.epochs, a.finished_at, {TRIED}, a.status, a.signal,
    a.error_type, a.error_message, a.error, coalesce(o.stdout, ''), coalesce(o.stderr, '')
FROM _driver d
    JOIN _attempt a ON a.driver_pk = d.pk
    JOIN _evaluation e ON e.pk = a.evaluation_pk
    JOIN _config c ON c.pk = e.config_pk
    LEFT JOIN _output o ON o.attempt_pk = a.pk
WHERE d.search_pk = ? AND a.status IN ('failed', 'timeout')
    AND ({is_in(FAILURES, "a.")} OR {is_in(RETRIED, "a.")} AND a.retried = 'rest')
    AND a.finished_at > ?
    AND NOT EXISTS (SELECT * FROM _attempt b
        WHERE b.evaluation_pk = a.evaluation_pk AND b.pk >= a.pk AND b.retried = 'asked')
ORDER BY a.finished_at"""

_TAKEN_BACK = """
SELECT DISTINCT c.config_id, e.epochs
FROM _driver d
    JOIN _attempt a ON a.driver_pk = d.pk
    JOIN _evaluation e ON e.pk = a.evaluation_pk
    JOIN _config c ON c.pk = e.config_pk
WHERE d.search_pk = ? AND a.retried = 'rest'"""


class Success(NamedTuple):
    """An attempt that is done."""

    finished_at: str
    seconds: float


def last_success(query: Rows, search_pk: int) -> Success | None:
    """The attempt that was begun last and is done."""
    for finished_at, seconds in query(_LAST_SUCCESS, (search_pk,)):
        return Success(finished_at, seconds or 0.0)
    return None


def rests_from(query: Rows, search_pk: int) -> str | None:
    """The time from which on failures were doubted when a driver last rested; None if none does."""
    for (moment,) in query(_RESTS_FROM, (search_pk,)):
        return str(moment) if moment else None
    return None


def failed_since(query: Rows, search_pk: int, since: str) -> list[Sequence[Any]]:
    """The attempts that failed since then, and count or wait to be tried again.

    config_id, epochs, when it ended, how often it was tried after a rest while others succeeded,
    and the fields of a Verdict from its status on.
    """
    return list(query(_SINCE, (search_pk, since)))


def taken_back(query: Rows, search_pk: int) -> list[tuple[str, int]]:
    """The evaluations that failed and were taken back after a rest, whatever became of them."""
    return [(config_id, epochs) for config_id, epochs in query(_TAKEN_BACK, (search_pk,))]
