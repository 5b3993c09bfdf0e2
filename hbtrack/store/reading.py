"""Read a database with the standard library's sqlite3: nothing is created, nothing is changed."""

import json
import re
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from hbtrack.database.dictionary import DICTIONARY
from hbtrack.database.location import existing_database
from hbtrack.database.revision import (
    REVISION,
    explain,
    readable,
    require_not_newer,
    require_sound,
    revision_of,
)
from hbtrack.database.views import VIEWS
from hbtrack.errors import Conflict, NotFound
from hbtrack.text import printable

Row = dict[str, Any]


@contextmanager
def snapshot(option: str | None) -> Iterator[sqlite3.Connection]:
    """A connection as `connected` gives it, which sees one moment of a search that may run."""
    with connected(option) as connection:
        connection.execute("BEGIN")
        yield connection


@contextmanager
def connected(option: str | None) -> Iterator[sqlite3.Connection]:
    """A read-only connection to the database that `--db` names.

    Raises NotFound when there is none, Conflict when its schema is not this version's, and
    HbtrackError when it turns out to be damaged.
    """
    path = existing_database(option)
    with closing(opened(path)) as connection, _damage_explained(path):
        connection.row_factory = sqlite3.Row
        yield connection


def opened(path: Path) -> sqlite3.Connection:
    """A read-only connection to the database at `path`, for its caller to close; rows are tuples.

    Refuses like `connected`.
    """
    connection = readable(path, patience=10)
    try:
        with _damage_explained(path):
            _require_this_schema(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def _damage_explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise explain(error, path) from error
    except (LookupError, TypeError, ValueError):  # what a damaged page may look like
        require_sound(path)
        raise


def _require_this_schema(connection: sqlite3.Connection, path: Path) -> None:
    revision = revision_of(connection, path)
    if revision is None:
        raise NotFound(
            f"{path} is empty; start a search with `hbtrack run SCRIPT`.", see="no-search"
        )
    require_not_newer(revision, path)
    if revision != REVISION:
        raise Conflict(
            f"{path} has the older schema {revision}, which only writing commands bring to "
            f"{REVISION}. Nothing was changed; type: hbtrack db upgrade --db {path}",
            see="older-schema",
        )


def rows(
    connection: sqlite3.Connection, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()
) -> list[Row]:
    """The rows of a query, as dicts."""
    with closing(connection.execute(sql, values)) as cursor:
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]


_ORDER = {
    "searches": "created_at",
    "brackets": "run_identity, pass, bracket DESC",
    "rungs": "run_identity, pass, bracket DESC, rung",
    "results": "run_identity, pass, bracket DESC, rung, slot",
    "leaderboard": "run_identity, rank",
    "incumbents": "run_identity, epochs_spent, objective DESC",
    "drivers": "run_identity, driver",
}


def view_rows(
    connection: sqlite3.Connection, view: str, identity: str | None
) -> tuple[list[str], sqlite3.Cursor]:
    """The columns and the rows of a public view, of all searches that `identity` means.

    The data dictionary is of no search: it is the same for all. Raises NotFound when there is no
    such view, or no such search.
    """
    if view not in DICTIONARY:
        near = ", ".join(_near(view, DICTIONARY, 3, 0.4) or DICTIONARY)
        raise NotFound(
            f"No view is called {printable(repr(view))}; there are: {near}.", see="no-view"
        )
    names = chosen_names(connection, identity)
    chosen = "run_identity IN (SELECT value FROM json_each(:names))" if view in VIEWS else "true"
    order = f" ORDER BY {_ORDER[view]}" if view in _ORDER else ""
    cursor = connection.execute(
        f"SELECT * FROM {view} WHERE {chosen}{order}", {"names": json.dumps(names)}
    )
    return [column[0] for column in cursor.description], cursor


def chosen_names(
    connection: sqlite3.Connection, identity: str | None, *, some: bool = False
) -> list[str]:
    """The names of the searches that `--identity` means, the oldest first; all where it is None.

    Raises NotFound when it means none, and with `some` also where there is no search at all.
    """
    searches = connection.execute("SELECT run_identity FROM searches ORDER BY created_at")
    return match_identity([row[0] for row in searches], identity, some=some)


def glob_of(connection: sqlite3.Connection, identity: str | None) -> str:
    """What SQLite's GLOB needs, so that `run_identity GLOB :identity` means the same searches.

    Raises NotFound like `chosen_names`.
    """
    if identity is None:
        return "*"
    found = chosen_names(connection, identity)
    if len(found) == 1:
        return re.sub(r"[*?[]", r"[\g<0>]", found[0])
    return identity.replace("[!", "[^")


def match_identity(
    identities: Collection[str], pattern: str | None, *, some: bool = False
) -> list[str]:
    """The identities that `--identity` means: exactly that one, else those a shell pattern fits.

    Raises NotFound, with the nearest names, when there is none; with `some` also where there are no
    identities at all.
    """
    if some and not identities:
        raise NotFound(
            "There is no search here yet; start one with `hbtrack run SCRIPT`.", see="no-search"
        )
    if pattern is None:
        return list(identities)
    if pattern in identities:
        return [pattern]
    found = [identity for identity in identities if fnmatchcase(identity, pattern)]
    if not found:
        near = _near(pattern, identities, 3, 0.3) or list(identities)[:3]
        names = ", ".join(printable(repr(name)) for name in near)
        raise NotFound(
            f"No search is called {printable(repr(pattern))}. "
            + (f"The nearest: {names}." if near else "There is no search at all."),
            see="no-such-search",
        )
    return found


def _near(word: str, known: Iterable[str], most: int, cutoff: float) -> list[str]:
    """Those of the known words that are most like the one that was typed."""
    from difflib import get_close_matches  # noqa: PLC0415 - only what is mistyped needs it

    return get_close_matches(word, list(known), most, cutoff)
