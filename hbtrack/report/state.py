"""What is true of a search now, found by looking at its locks; nothing is repaired."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from hbtrack.core.outages import LOOKED_AT
from hbtrack.database.location import search_folder
from hbtrack.driver.lock import Owner, owner_of
from hbtrack.errors import NotFound
from hbtrack.executors.worker_files import WorkerFiles
from hbtrack.store.reading import Row, rows
from hbtrack.text import printable

_FACTS = "SELECT pk, status FROM _search WHERE run_identity = :identity"


def find_search(connection: sqlite3.Connection, run_identity: str, sql: str = _FACTS) -> Row:
    """The row that a query has of a search. Raises NotFound when there is no such search."""
    for row in rows(connection, sql, {"identity": run_identity}):
        return row
    raise NotFound(
        f"There is no search called {printable(repr(run_identity))} any more.",
        see="removed-meanwhile",
    )


@dataclass(frozen=True, slots=True)
class State:
    """What is true of a search now, found by looking: running, orphaned, interrupted, ..."""

    word: str
    owner: Owner | None


# Of those that only end what runs, as `stop` does, nobody asks: they have no workers.
_REST = """
SELECT rests_until, rests_because FROM drivers
WHERE run_identity = ? AND workers IS NOT NULL ORDER BY driver DESC LIMIT 1
"""


def rest_of(connection: sqlite3.Connection, run_identity: str) -> Row | None:
    """Until when a search rests, and because of what, or rested at its driver's end; or None."""
    for row in rows(connection, _REST, [run_identity]):
        return row if row["rests_until"] else None
    return None


def rests(rest: Row, *, driven: bool) -> str:
    """A rest as a sentence's end; when nobody drives the search any more, what it was."""
    until, because = rest["rests_until"][:19], printable(rest["rests_because"])
    if not driven:
        return f"rested when its last hbtrack ended: {because}"
    if because.endswith(LOOKED_AT):
        return f"rests, and stops at {until}Z: {because}"
    return f"rests until {until}Z, then asks again: {because}"


def state_of(connection: sqlite3.Connection, path: Path, run_identity: str) -> State:
    """Look at the locks of a search; nothing is repaired.

    running: a driver owns it. orphaned: scripts of a dead driver still run. interrupted: nothing
    runs, there is more to do. stopped, finished: as recorded.
    """
    search = find_search(connection, run_identity)
    folder = search_folder(path, search["pk"])
    owner = owner_of(folder)
    if owner:
        return State("running", owner)
    workers = rows(
        connection,
        "SELECT a.worker FROM _attempt a JOIN _driver d ON d.pk = a.driver_pk "
        "WHERE a.finished_at IS NULL AND d.search_pk = ?",
        [search["pk"]],
    )
    if any(WorkerFiles(folder, row["worker"]).held() for row in workers):
        return State("orphaned", None)
    return State("interrupted" if search["status"] == "unfinished" else search["status"], None)
