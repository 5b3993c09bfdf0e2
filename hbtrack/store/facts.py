"""Read back all that is recorded of a search."""

from collections.abc import Iterable, Sequence
from typing import Any

from hbtrack.core.attempt_states import RESULTS
from hbtrack.core.gc_paused import gc_paused
from hbtrack.core.records import AttemptStatus, Facts, OpenAttempt, RungKey, passes_of, turned
from hbtrack.core.times import unix
from hbtrack.store.durations import Rows
from hbtrack.store.states import is_in

_CONFIGS = "SELECT pk, config_id FROM _config WHERE search_pk = ?"

_OPENED = """
SELECT coalesce(max(b.pass), 0) FROM _bracket b JOIN _rung r ON r.bracket_pk = b.pk
WHERE b.search_pk = ? AND r.rung = 0 AND EXISTS (SELECT * FROM _place p WHERE p.rung_pk = r.pk)"""

_RUNGS = """
SELECT b.pass, b.first_epochs, r.rung, r.pk FROM _bracket b JOIN _rung r ON r.bracket_pk = b.pk
WHERE b.search_pk = ? ORDER BY b.pass, b.first_epochs, r.rung"""

_PLACES = "SELECT slot, config_pk FROM _place WHERE rung_pk = ? ORDER BY slot"

# IN goes through the configs in the order of their keys, as they and their evaluations were
# written: much faster than in the order of the index, which is that of the ids.
_STARTED = f"""
SELECT e.config_pk, e.epochs, a.loss, {is_in(RESULTS, "a.")}
FROM _evaluation e JOIN _attempt a ON a.pk = e.attempt_pk
WHERE e.config_pk IN (SELECT pk FROM _config WHERE search_pk = ?)"""

_MAXIMIZE = "SELECT maximize FROM _search WHERE pk = ?"

_OPEN_ATTEMPTS = """
SELECT a.pk, c.config_id, e.epochs, a.status, a.worker, a.gpu, d.host, a.started_at,
    a.since_boot, d.boot_id, a.script_version
FROM _attempt a
    JOIN _evaluation e ON e.pk = a.evaluation_pk
    JOIN _config c ON c.pk = e.config_pk
    JOIN _driver d ON d.pk = a.driver_pk
WHERE a.finished_at IS NULL AND c.search_pk = ?
ORDER BY a.pk"""

# A driver that died without a word lived until it was last seen. Those of an earlier hbtrack have
# not noted for how long: there the time of day has to do.
_LIVES = """
SELECT lived, started_at, coalesce(ended_at, seen_at, started_at) FROM _driver
WHERE search_pk = ? AND workers IS NOT NULL"""


def rung_pks(query: Rows, search_pk: int) -> dict[RungKey, int]:
    """The private keys of the rungs, in canonical order."""
    return {RungKey(*key): pk for *key, pk in query(_RUNGS, (search_pk,))}


def open_attempts(query: Rows, search_pk: int) -> list[OpenAttempt]:
    """The attempts that nobody has settled yet, in the order of their starts."""
    return [
        OpenAttempt(pk, config_id, epochs, AttemptStatus(status), *where)
        for pk, config_id, epochs, status, *where in query(_OPEN_ATTEMPTS, (search_pk,))
    ]


def load_facts(query: Rows, search_pk: int) -> Facts:
    """All that is recorded of a search and bears on what it does next."""

    def rows(sql: str) -> Iterable[Sequence[Any]]:
        return query(sql, (search_pk,))

    lives = [
        unix(end) - unix(start) if lived is None else lived for lived, start, end in rows(_LIVES)
    ]
    with gc_paused():
        # A row that names its config by a number costs half of one with the text.
        ids: dict[int, str] = {row[0]: row[1] for row in rows(_CONFIGS)}
        entered = {}
        for key, rung_pk in rung_pks(query, search_pk).items():
            if members := {row[0]: ids[row[1]] for row in query(_PLACES, (rung_pk,))}:
                entered[key] = members
        ((maximize,),) = rows(_MAXIMIZE)
        results, begun = [], []
        for config_pk, epochs, loss, is_result in rows(_STARTED):
            if is_result:
                results.append((ids[config_pk], epochs, turned(loss, maximize=maximize)))
            else:
                begun.append((ids[config_pk], epochs))
    return Facts(
        passes=passes_of(entered),
        results=tuple(results),
        entered=entered,
        open_attempts=tuple(open_attempts(query, search_pk)),
        begun=tuple(begun),
        earlier_seconds=sum(max(0.0, seconds) for seconds in lives),
    )


def sampled_so_far(query: Rows, search_pk: int) -> tuple[int, list[str]]:
    """How many passes are open, and all their config_ids."""
    ((opened,),) = query(_OPENED, (search_pk,))
    return opened, [config_id for _, config_id in query(_CONFIGS, (search_pk,))]
