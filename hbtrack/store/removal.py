"""Delete a search with all that belongs to it. Decides nothing; in the caller's transaction."""

from sqlite3 import Connection

from hbtrack.errors import HbtrackError

_OF = {
    "search": "pk = ?",
    "driver": "search_pk = ?",
    "bracket": "search_pk = ?",
    "rung": "bracket_pk IN (SELECT pk FROM bracket WHERE search_pk = ?)",
    "config": "search_pk = ?",
    "param": "config_pk IN (SELECT pk FROM config WHERE search_pk = ?)",
    "place": "rung_pk IN (SELECT r.pk FROM rung r JOIN bracket b ON b.pk = r.bracket_pk "
    "WHERE b.search_pk = ?)",
    "evaluation": "config_pk IN (SELECT pk FROM config WHERE search_pk = ?)",
    "attempt": "evaluation_pk IN (SELECT e.pk FROM evaluation e "
    "JOIN config c ON c.pk = e.config_pk WHERE c.search_pk = ?)",
    "incumbent": "search_pk = ?",
    "output": "attempt_pk IN (SELECT a.pk FROM attempt a JOIN evaluation e "
    "ON e.pk = a.evaluation_pk JOIN config c ON c.pk = e.config_pk WHERE c.search_pk = ?)",
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
    if broken := connection.execute("PRAGMA foreign_key_check").fetchone():
        raise HbtrackError(
            f"The table {broken[0]} would refer to rows that are gone. Nothing was removed; "
            "`hbtrack db check` says what is wrong with the file.",
            see="inconsistent",
        )


def token_of(connection: Connection, search_pk: int) -> str | None:
    """The token of the search that has this key; None if there is none."""
    row = connection.execute("SELECT token FROM search WHERE pk = ?", (search_pk,)).fetchone()
    return str(row[0]) if row else None
