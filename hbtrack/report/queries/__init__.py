"""Named queries: hbtrack's own, which lie beside this module, and those that users add as files.

A query is a file NAME.sql; its first comment line says what it answers. Where several have one
name, the nearest wins: beside the database, then the user's own, then hbtrack's. So a query that
somebody wrote means the same after every upgrade of hbtrack.
"""

import os
import re
import sqlite3
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from hbtrack.errors import HbtrackError, NotFound, UsageError
from hbtrack.report.wide import is_wide, literal, wide_columns, widened
from hbtrack.store.reading import glob_of
from hbtrack.text import printable

FOLDER = "hbtrack-queries"
"""The folder of queries beside a database."""

_OWN = Path(__file__).parent
WIDE = _OWN / "wide.sql"
"""The one that leaves a place for columns; `@wide` may mean a user's."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Query:
    """A query with a name."""

    name: str
    path: Path
    replaces: Path | None
    """The file of the same name that would be meant if this one were not there."""

    @property
    def is_own(self) -> bool:
        """Whether it is one of hbtrack's."""
        return self.path.parent == _OWN

    @property
    def description(self) -> str:
        """Its first comment line, or nothing; or why it cannot be read."""
        try:
            first = query_text(self.path).lstrip().partition("\n")[0]
        except HbtrackError as error:
            return str(error)
        return first.removeprefix("--").strip() if first.startswith("--") else ""


def named_queries(database: Path) -> dict[str, Query]:
    """All queries that `@NAME` can mean for a database, in the order of their names."""
    found: dict[str, Query] = {}
    for folder in reversed(_folders(database)):
        for path in folder.glob("*.sql"):
            if _NAME.fullmatch(path.stem) and path.is_file():
                replaced = found.get(path.stem)
                found[path.stem] = Query(path.stem, path, replaced.path if replaced else None)
    return dict(sorted(found.items()))


def find_query(word: str, database: Path) -> str:
    """The text of the query that a word means: @NAME, or @ and the path of a file.

    Raises NotFound, with the nearest names, when there is none.
    """
    name = word.removeprefix("@")
    if "/" in name or name.endswith(".sql"):
        return query_text(Path(name))
    queries = named_queries(database)
    if name not in queries:
        near = get_close_matches(name, queries, n=3, cutoff=0.4)
        raise NotFound(
            f"No query is called {printable(repr(name))}. "
            + (f"The nearest: {', '.join(near)}. " if near else "")
            + "All of them: hbtrack sql --list",
            see="no-query",
        )
    return query_text(queries[name].path)


def prepared(
    connection: sqlite3.Connection, query: str, identity: str | None
) -> tuple[str, dict[str, str]]:
    """The query as it is to be run, with its columns, and the value of its `:identity`.

    Raises UsageError where it has no use for an identity, and NotFound where that means no search.
    """
    glob = _glob(connection, query, identity)
    return _with_columns(connection, query, glob), {"identity": glob}


def printed(connection: sqlite3.Connection, query: str, identity: str | None) -> str:
    """The query as another program can run it: an identity that is given stands in it."""
    glob = _glob(connection, query, identity)
    if identity is not None:
        query = query.replace(":identity", literal(glob))
    return _with_columns(connection, query, glob)


def _glob(connection: sqlite3.Connection, query: str, identity: str | None) -> str:
    if identity is not None and ":identity" not in query:
        raise UsageError(
            "The query does not ask for --identity. Write in it: WHERE run_identity GLOB :identity",
            see="bad-query",
        )
    return glob_of(connection, identity)


def _with_columns(connection: sqlite3.Connection, query: str, glob: str) -> str:
    return widened(query, wide_columns(connection, glob)) if is_wide(query) else query


def query_text(path: Path) -> str:
    """What a file of a query says. Raises NotFound or UsageError when it cannot be read."""
    try:
        return path.expanduser().read_text(encoding="utf-8")
    except (FileNotFoundError, RuntimeError) as error:
        raise NotFound(f"There is no query in {path}: no such file.", see="no-query") from error
    except OSError as error:
        raise UsageError(
            f"The query in {path} cannot be read: {error.strerror}.", see="no-query"
        ) from error
    except ValueError as error:  # UnicodeDecodeError too
        raise UsageError(f"The query in {path} is not text in UTF-8.", see="no-query") from error


def _folders(database: Path) -> list[Path]:
    """Where queries may lie, the nearest first."""
    return [database.parent / FOLDER, *_of_user(), _OWN]


def _of_user() -> list[Path]:
    configured = os.environ.get("XDG_CONFIG_HOME", "")
    try:
        home = Path(configured) if configured.startswith("/") else Path.home() / ".config"
    except RuntimeError:  # a user without a home
        return []
    return [home / "hbtrack" / "queries"]
