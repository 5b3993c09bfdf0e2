"""`hbtrack rm`: remove a search from the database."""

import argparse
import os

from hbtrack.cli import complain
from hbtrack.cli.confirm import confirm, require_answer
from hbtrack.cli.driving import file_to_end, require_dead, search_of
from hbtrack.cli.signals import stoppable
from hbtrack.core.records import Search
from hbtrack.database.location import require_there, search_folder
from hbtrack.errors import HbtrackError
from hbtrack.searches.file import DatabaseFile
from hbtrack.searches.remove import remove_search
from hbtrack.searches.saved import Saved
from hbtrack.searches.session import own
from hbtrack.store.reading import rows
from hbtrack.text import data_size, printable

_COUNTS = """
SELECT count(*) AS attempts, count(DISTINCT config_id || ' ' || epochs) AS evaluations
FROM attempts WHERE run_identity = ?"""


def main(args: argparse.Namespace) -> int:
    """Remove the search that is meant, after asking; exit 4 when it, or a script of it, runs."""
    with stoppable(), file_to_end(args) as file:
        search = search_of(file, args)
        require_dead(file, search)
        require_answer(args)
        if args.checkpoints:
            require_there(search.resources.checkpoints)
        complain(_what_goes(file, search))
        saved = _saved(file, search)
        complain(_what_stays(search, saved, args))
        confirm(args, search.run_identity)
        require_dead(file, search)  # the answer may have taken long
        with own(file, search) as session:
            remove_search(session, saved, checkpoints=args.checkpoints)
        complain(f"Removed {printable(search.run_identity)}.")
    return os.EX_OK


def _what_goes(file: DatabaseFile, search: Search) -> str:
    with file.database() as database:
        (count,) = rows(database.connection, _COUNTS, [search.run_identity])
    folder = search_folder(file.path, search.pk)
    return (
        f"This removes {search.run_identity} for good: {count['evaluations']} evaluations, "
        f"{count['attempts']} attempts with their output, and {folder}"
    )


def _saved(file: DatabaseFile, search: Search) -> Saved | None:
    """What its scripts have saved; None, which is said, where it is not to be touched."""
    try:
        return Saved.of(file.path, search)
    except HbtrackError as error:  # a link, or others can write to it
        reason = str(error).partition(", so nothing")[0]
        complain(f"Its checkpoints stay where they are: {reason}.")
        return None


def _what_stays(search: Search, saved: Saved | None, args: argparse.Namespace) -> str:
    """What becomes of the checkpoints, wherever they lie."""
    elsewhere = (
        f"What its script {search.command.script} has saved itself in other places stays, "
        "checkpoints too: a new search of it would take those for its own. It ran in "
        f"{search.command.cwd}"
    )
    if saved is None or not (size := saved.size()):
        return elsewhere
    checkpoints = f"Its checkpoints, {data_size(size)} in {saved.folder}"
    if args.checkpoints:
        return f"{checkpoints}, are removed, too.\n{elsewhere}"
    return f"{checkpoints}, stay; with --checkpoints they are removed, too.\n{elsewhere}"
