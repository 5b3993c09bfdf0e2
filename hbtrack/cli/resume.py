"""`hbtrack resume`: go on with the searches of a database, the oldest first."""

import argparse
import os

from hbtrack.cli import complain, show_error
from hbtrack.cli.driving import drive, options_of, searches_of, settings_of
from hbtrack.cli.signals import stoppable
from hbtrack.core.records import Search, SearchStatus
from hbtrack.database.location import existing_database
from hbtrack.errors import INTERRUPTED, Conflict, HbtrackError, Interrupted
from hbtrack.searches.file import DatabaseFile
from hbtrack.searches.session import own
from hbtrack.searches.start import resume_search
from hbtrack.searches.terms import require_stated


def main(args: argparse.Namespace) -> int:
    """Drive every unfinished search that matches; the worst exit status of them."""
    with stoppable(), DatabaseFile(existing_database(args.db), settings_of(args)) as file:
        chosen = searches_of(file, args, some=True)
        todo = [search for search in chosen if search.status is not SearchStatus.FINISHED]
        if todo:
            return _drive_all(file, todo, args)
        for search in chosen:
            require_stated(search, options_of(args).stated)
    complain(f"Nothing to go on with: {_count(chosen)} finished. `hbtrack report` shows the best.")
    return os.EX_OK


def _drive_all(file: DatabaseFile, todo: list[Search], args: argparse.Namespace) -> int:
    ran, refused = [], []
    for search in todo:
        try:
            with own(file, search) as session:  # before its script is imported, which may be slow
                ran.append(drive(resume_search(session, options_of(args)), args))
        except Interrupted:
            raise
        except HbtrackError as error:  # the others are gone on with all the same
            show_error(error)
            refused.append(error)
        if ran and ran[-1] == INTERRUPTED:
            break
    # One that another driver runs is in good hands, unless nothing else was to be done.
    broken = [error.exit_code for error in refused if not (ran and isinstance(error, Conflict))]
    return INTERRUPTED if INTERRUPTED in ran else max([*ran, *broken])


def _count(searches: list[Search]) -> str:
    return "the search is" if len(searches) == 1 else f"all {len(searches)} searches are"
