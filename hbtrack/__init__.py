"""Hyperband over a user's own training script, kept in one SQLite file, resumed exactly.

In Python, `connect` and `read` give what was found. Both need nothing but the standard library,
change nothing, and refuse with the errors of `hbtrack.errors`.

Read in this order: version, errors, text, faults, core, database, store, script, executors,
driver, searches, check, report, cli.
"""

from hbtrack.version import __version__

TYPE_CHECKING = False  # without loading typing, which would be a third of what `--help` takes
if TYPE_CHECKING:
    from os import PathLike
    from sqlite3 import Connection
    from typing import Any

__all__ = ["__version__", "connect", "read"]


def connect(path: "str | PathLike[str] | None" = None) -> "Connection":
    """A read-only connection to a database; close it when you are done.

    Without a path it is the one that commands would use: HBTRACK_DB, else ./hbtrack.db. Raises
    NotFound when there is none, Conflict when its schema is not this version's or another program
    made it, and HbtrackError when it is damaged.
    """
    from hbtrack.report.answers import connect  # noqa: PLC0415 - `import hbtrack` is light

    return connect(None if path is None else str(path))


def read(
    view: str,
    identity: str | None = None,
    path: "str | PathLike[str] | None" = None,
    *,
    params: bool = False,
) -> "list[dict[str, Any]]":
    """The rows of a public view as dicts, for example `read("leaderboard")[0]`.

    `identity` means one search, or several by a shell pattern such as `model:*`; without it all
    are meant. `read("leaderboard", params=True)` has the parameters and the metrics of the loss as
    well, a column each, as the configs' ids have them. `read("@best")` answers a named query,
    `read("@./file.sql")` one in a file. Raises NotFound when there is no such view, query or
    search, and UsageError when a query cannot be answered; otherwise as `connect`.
    """
    from hbtrack.report.answers import read  # noqa: PLC0415

    return read(view, identity, None if path is None else str(path), params=params)
