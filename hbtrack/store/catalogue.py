"""The searches of a database: create one, find them, load the facts of one."""

import json
import secrets
from collections.abc import Iterable
from sqlite3 import Connection
from typing import Any

from hbtrack.core.attempt_states import FAILURES
from hbtrack.core.derived import DERIVED_TABLES, Derived
from hbtrack.core.records import (
    Command,
    Limits,
    Resources,
    Sampled,
    Search,
    SearchStatus,
    Terms,
    facts_of,
)
from hbtrack.core.streams import NEW
from hbtrack.core.times import iso
from hbtrack.errors import HbtrackError
from hbtrack.store.derived import write
from hbtrack.store.reading import Row, match_identity, rows
from hbtrack.store.states import is_in

# Many rows at once, handed to the database driver as they are: a pass may have a million configs.
_ADD_CONFIG = "INSERT INTO _config (search_pk, config_id, number, seconds) VALUES (?, ?, ?, 0)"

_LAST_NUMBER = "SELECT coalesce(max(number), 0) FROM _config WHERE search_pk = ?"

_ADD_PARAM = """
INSERT INTO _param (config_pk, name, value)
SELECT pk, ?, ? FROM _config WHERE search_pk = ? AND config_id = ?"""

_FAILURES = f"""
SELECT c.config_id, e.epochs,
    coalesce(a.error_type, '') || ': ' || coalesce(a.error_message, '') || char(10)
        || coalesce(a.error, '')
FROM _config c
    JOIN _evaluation e ON e.config_pk = c.pk
    JOIN _attempt a ON a.pk = e.attempt_pk
WHERE c.search_pk = ? AND {is_in(FAILURES, "a.")}
ORDER BY a.pk"""


def create_search(
    connection: Connection,
    run_identity: str,
    *,
    terms: Terms,
    command: Command,
    resources: Resources,
    limits: Limits,
    derived: Derived,
    now: float,
) -> int:
    """Write a new search, and what follows when nothing of it has happened yet; its private key.

    Raises sqlite3's IntegrityError when a search of that identity was created meanwhile.
    """
    row = {
        "run_identity": run_identity,
        "token": secrets.token_hex(6),
        **facts_of(terms),
        **facts_of(command),
        **facts_of(resources),
        **facts_of(limits),
        **dict(zip(DERIVED_TABLES["search"].columns, derived["search"][()], strict=True)),
        "configs": json.dumps(terms.configs),
        "retry_on": json.dumps(limits.retry_on),
        "script_args": json.dumps(command.script_args),
        "streams": NEW,
        "status": SearchStatus.UNFINISHED,
        "fence": 0,
        "created_at": iso(now),
    }
    values = ", ".join(f":{name}" for name in row)
    insert = f"INSERT INTO _search ({', '.join(row)}) VALUES ({values}) RETURNING pk"
    search_pk: int = connection.execute(insert, row).fetchone()[0]
    write(connection, search_pk, derived)
    return search_pk


def reopen(connection: Connection, search_pk: int) -> None:
    """A search that was finished or stopped has more to do."""
    connection.execute(
        "UPDATE _search SET status = 'unfinished', finished_at = NULL, stop_reason = NULL "
        "WHERE pk = ?",
        (search_pk,),
    )


def note_cleaned(
    connection: Connection, search_pk: int, config_ids: Iterable[str], now: float
) -> None:
    """The checkpoints of these configs are removed."""
    connection.executemany(
        "UPDATE _config SET cleaned_at = ? WHERE search_pk = ? AND config_id = ?",
        [(iso(now), search_pk, config_id) for config_id in config_ids],
    )


def failures(connection: Connection, search_pk: int) -> list[tuple[str, int, str]]:
    """The failed evaluations, in the order of their attempts: config_id, epochs, error."""
    return connection.execute(_FAILURES, (search_pk,)).fetchall()


def add_configs(connection: Connection, search_pk: int, sampled: Sampled) -> None:
    """Write the configs of a pass that are new to the search, with their parameters."""
    (last,) = connection.execute(_LAST_NUMBER, (search_pk,)).fetchone()
    configs = [(search_pk, one, number) for number, one in enumerate(sampled.params, last + 1)]
    params = [
        (name, value, search_pk, config_id)
        for config_id, found in sampled.params.items()
        for name, value in found.items()
    ]
    if configs:
        connection.executemany(_ADD_CONFIG, configs)
    if params:
        connection.executemany(_ADD_PARAM, params)


def load_search(connection: Connection, run_identity: str) -> Search | None:
    """The search of exactly that identity, if there is one."""
    found = _searches(connection, "WHERE run_identity = ?", run_identity)
    return found[0] if found else None


def chosen_searches(
    connection: Connection, identity: str | None, *, some: bool = False
) -> list[Search]:
    """The searches that `--identity` means, the oldest first; all where it is None.

    Raises NotFound when it means none, and with `some` also where there is no search at all.
    """
    searches = {search.run_identity: search for search in load_searches(connection)}
    return [searches[name] for name in match_identity(searches, identity, some=some)]


def load_searches(connection: Connection) -> list[Search]:
    """All searches, the oldest first."""
    return _searches(connection, "ORDER BY pk")


def _searches(connection: Connection, which: str, *values: str) -> list[Search]:
    return [_search(row) for row in rows(connection, f"SELECT * FROM _search {which}", values)]


def _search(row: Row) -> Search:
    def of(kind: type[Any], **read: object) -> Any:
        names = kind.__dataclass_fields__.keys() - read.keys()
        return kind(**{name: row[name] for name in names}, **read)

    return Search(
        pk=row["pk"],
        run_identity=row["run_identity"],
        token=row["token"],
        terms=of(Terms, configs=tuple(json.loads(row["configs"])), maximize=bool(row["maximize"])),
        command=of(Command, script_args=tuple(json.loads(row["script_args"]))),
        resources=of(Resources, isolate_gpus=bool(row["isolate_gpus"])),
        limits=of(
            Limits,
            retry_timeouts=bool(row["retry_timeouts"]),
            retry_on=tuple(json.loads(row["retry_on"])),
        ),
        status=SearchStatus(row["status"]),
        stop_reason=row["stop_reason"],
        fence=row["fence"],
        broken_script_checked=bool(row["judged"]),
        streams=row["streams"],
        found_checkpoints=row["found_checkpoints"],
    )


_OF = {
    "_search": "pk = ?",
    "_driver": "search_pk = ?",
    "_bracket": "search_pk = ?",
    "_rung": "bracket_pk IN (SELECT pk FROM _bracket WHERE search_pk = ?)",
    "_config": "search_pk = ?",
    "_param": "config_pk IN (SELECT pk FROM _config WHERE search_pk = ?)",
    "_place": "rung_pk IN (SELECT r.pk FROM _rung r JOIN _bracket b ON b.pk = r.bracket_pk "
    "WHERE b.search_pk = ?)",
    "_evaluation": "config_pk IN (SELECT pk FROM _config WHERE search_pk = ?)",
    "_attempt": "evaluation_pk IN (SELECT e.pk FROM _evaluation e "
    "JOIN _config c ON c.pk = e.config_pk WHERE c.search_pk = ?)",
    "_metric": "attempt_pk IN (SELECT a.pk FROM _attempt a JOIN _evaluation e "
    "ON e.pk = a.evaluation_pk JOIN _config c ON c.pk = e.config_pk WHERE c.search_pk = ?)",
    "_incumbent": "search_pk = ?",
    "_script_version": "search_pk = ?",
    "_output": "attempt_pk IN (SELECT a.pk FROM _attempt a JOIN _evaluation e "
    "ON e.pk = a.evaluation_pk JOIN _config c ON c.pk = e.config_pk WHERE c.search_pk = ?)",
}
"""Which rows of each table belong to a search; a table is found by those before it."""


def delete_search(connection: Connection, search_pk: int) -> None:
    """Delete all rows of a search.

    The connection is one without foreign keys: without an index for each of them SQLite would look
    through a whole table for every row that goes. They are checked at the end instead, all at once.
    Raises HbtrackError when rows that stay refer to some that would go.
    """
    for table, of in reversed(_OF.items()):
        connection.execute(f"DELETE FROM {table} WHERE {of}", (search_pk,))
    _forget_texts(connection)
    if broken := connection.execute("PRAGMA foreign_key_check").fetchone():
        raise HbtrackError(
            f"The table {broken[0]} would refer to rows that are gone. Nothing was removed; "
            "`hbtrack db check` says what is wrong with the file.",
            see="inconsistent",
        )


def _forget_texts(connection: Connection) -> None:
    """Delete the texts that no version of a script has any more."""
    versions = connection.execute("SELECT files FROM _script_version")
    used = {sha256 for (files,) in versions for sha256 in json.loads(files).values()}
    kept = [row[0] for row in connection.execute("SELECT sha256 FROM _script_text")]
    unused = [(sha256,) for sha256 in kept if sha256 not in used]
    connection.executemany("DELETE FROM _script_text WHERE sha256 = ?", unused)


def token_of(connection: Connection, search_pk: int) -> str | None:
    """The token of the search that has this key; None if there is none."""
    row = connection.execute("SELECT token FROM _search WHERE pk = ?", (search_pk,)).fetchone()
    return str(row[0]) if row else None
