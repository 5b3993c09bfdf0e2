"""`hbtrack rm`: remove a search from the database."""

import argparse
import os
import sys
from pathlib import Path

from hbtrack.cli import complain
from hbtrack.cli.driving import patience, require_dead, settings_to_end, stoppable
from hbtrack.core.records import Search
from hbtrack.database.location import existing_database, search_folder
from hbtrack.database.upgrade import writable
from hbtrack.errors import HbtrackError, UsageError
from hbtrack.searches.remove import remove_search
from hbtrack.store.catalogue import read_searches
from hbtrack.store.reading import connected, match_identity, rows
from hbtrack.text import printable

_COUNTS = """
SELECT count(*) AS attempts, count(DISTINCT config_id || ' ' || epochs) AS evaluations
FROM attempts WHERE run_identity = ?"""


def main(args: argparse.Namespace) -> int:
    """Remove the search that is meant, after asking; exit 4 when it, or a script of it, runs."""
    with stoppable():
        path = existing_database(args.db)
        search = _meant(path, args)
        require_dead(path, search, args)
        if not args.yes:
            _require_terminal()
        complain(_what_goes(path, search, args))
        if not (args.yes or _is_wanted(search)):
            raise HbtrackError("Nothing was removed.", see="not-removed")
        require_dead(path, search, args)  # the answer may have taken long
        remove_search(path, search, settings_to_end(0.0))
        complain(f"Removed {printable(search.run_identity)}.")
    return os.EX_OK


def _meant(path: Path, args: argparse.Namespace) -> Search:
    with writable(path, complain, busy_seconds=patience()) as database:
        searches = {search.run_identity: search for search in read_searches(database)}
    names = match_identity(list(searches), args.identity)
    if len(names) > 1:
        raise UsageError(
            f"{args.identity!r} means {len(names)} searches; name one: {', '.join(names[:5])}.",
            see="several-searches",
        )
    return searches[names[0]]


def _what_goes(path: Path, search: Search, args: argparse.Namespace) -> str:
    with connected(args.db) as connection:
        (count,) = rows(connection, _COUNTS, [search.run_identity])
    return (
        f"This removes {search.run_identity} for good: {count['evaluations']} evaluations, "
        f"{count['attempts']} attempts with their output, and {search_folder(path, search.pk)}\n"
        f"What its script {search.command.script} has saved itself stays, checkpoints too; it ran "
        f"in {search.command.cwd}"
    )


def _require_terminal() -> None:
    if sys.stdin is None or not sys.stdin.isatty():
        raise UsageError(
            "There is no terminal to ask on, so nothing was removed. With --yes it is not asked.",
            see="not-removed",
        )


def _is_wanted(search: Search) -> bool:
    """Whether the user says so."""
    sys.stderr.write("Type y to remove it: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip() in ("y", "yes", search.run_identity)
