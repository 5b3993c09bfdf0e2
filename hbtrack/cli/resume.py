"""`hbtrack resume`: go on with the searches of a database, the oldest first."""

import argparse
import os

from hbtrack.cli import complain, show_error
from hbtrack.cli.driving import (
    drive,
    limits_of,
    patience,
    resources_of,
    settings_of,
    stoppable,
)
from hbtrack.core.records import Search, SearchStatus
from hbtrack.database.location import existing_database
from hbtrack.database.upgrade import writable
from hbtrack.errors import INTERRUPTED, Conflict, HbtrackError, Interrupted, NotFound
from hbtrack.searches.start import resume_search
from hbtrack.store.catalogue import read_searches
from hbtrack.store.reading import match_identity


def main(args: argparse.Namespace) -> int:
    """Drive every unfinished search that matches; the worst exit status of them."""
    with stoppable():
        return _resume(args)


def _resume(args: argparse.Namespace) -> int:
    path = existing_database(args.db)
    with writable(path, complain, busy_seconds=patience()) as database:
        searches = {search.run_identity: search for search in read_searches(database)}
    if not searches:
        raise NotFound(
            f"There is no search in {path}; start one with `hbtrack run SCRIPT`.", see="no-search"
        )
    chosen = [searches[name] for name in match_identity(list(searches), args.identity)]
    todo = [search for search in chosen if search.status is not SearchStatus.FINISHED]
    if not todo:
        complain(
            f"Nothing to go on with: {_count(chosen)} finished. `hbtrack report` shows the best."
        )
        return os.EX_OK
    return _drive_all(todo, args)


def _drive_all(todo: list[Search], args: argparse.Namespace) -> int:
    path = existing_database(args.db)
    ran, refused = [], []
    for search in todo:
        try:
            session = resume_search(
                path,
                search,
                resources=resources_of(args),
                limits=limits_of(args),
                given=args.given,
                settings=settings_of(args),
            )
            ran.append(drive(session, args))
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
