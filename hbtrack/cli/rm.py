"""`hbtrack rm`: remove a search from the database."""

import argparse
import os
import sys

from hbtrack.cli import complain
from hbtrack.cli.driving import file_to_end, require_dead, search_of, stoppable
from hbtrack.core.records import Search
from hbtrack.database.location import search_folder
from hbtrack.errors import HbtrackError, UsageError
from hbtrack.searches.file import DatabaseFile
from hbtrack.searches.remove import remove_search
from hbtrack.searches.session import own
from hbtrack.store.reading import rows
from hbtrack.text import printable

_COUNTS = """
SELECT count(*) AS attempts, count(DISTINCT config_id || ' ' || epochs) AS evaluations
FROM attempts WHERE run_identity = ?"""


def main(args: argparse.Namespace) -> int:
    """Remove the search that is meant, after asking; exit 4 when it, or a script of it, runs."""
    with stoppable(), file_to_end(args) as file:
        search = search_of(file, args)
        require_dead(file, search)
        if not args.yes:
            _require_terminal()
        complain(_what_goes(file, search))
        if not (args.yes or _ask(search)):
            raise HbtrackError("Nothing was removed.", see="not-removed")
        require_dead(file, search)  # the answer may have taken long
        with own(file, search) as session:
            remove_search(session)
        complain(f"Removed {printable(search.run_identity)}.")
    return os.EX_OK


def _what_goes(file: DatabaseFile, search: Search) -> str:
    with file.database() as database:
        (count,) = rows(database.connection, _COUNTS, [search.run_identity])
    folder = search_folder(file.path, search.pk)
    return (
        f"This removes {search.run_identity} for good: {count['evaluations']} evaluations, "
        f"{count['attempts']} attempts with their output, and {folder}\n"
        f"What its script {search.command.script} has saved itself stays, checkpoints too; it ran "
        f"in {search.command.cwd}"
    )


def _require_terminal() -> None:
    if sys.stdin is None or not sys.stdin.isatty():
        raise UsageError(
            "There is no terminal to ask on, so nothing was removed. With --yes it is not asked.",
            see="not-removed",
        )


def _ask(search: Search) -> bool:
    """Ask the user; whether the answer is that the search shall go."""
    sys.stderr.write("Type y to remove it: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip() in ("y", "yes", search.run_identity)
